"""The measures of held-out puppets as one flat row of numbers, for the log of a training run."""

from __future__ import annotations

from ...animator import Animator
from .evaluate import ClipFrames, ClipResult, EvaluationSettings, evaluate_puppets
from .report import puppet_means


def measure_puppets(
    animator: Animator, settings: EvaluationSettings
) -> tuple[dict[str, float], list[ClipFrames]]:
    """Evaluate held-out puppets, as the command ``evaluate puppets`` does.

    Args:
        animator: ``Animator(LoadedModel(config, networks, source))`` of the networks in training.
        settings: what to evaluate; ``fit_frames=0`` spares the reading of the motion, which is not part of
            the numbers.

    Returns:
        The means of ``puppet_means`` by names such as ``psnr/cross``, ``gain/over_copy`` and
        ``static_flicker_ratio``; and the pictures of each clip.

    Raises:
        InputError: sampling settings out of range.
    """
    results: list[ClipResult] = []
    pictures: list[ClipFrames] = []

    def keep(result: ClipResult, frames: ClipFrames) -> None:
        results.append(result)
        pictures.append(frames)

    evaluate_puppets(animator, settings, keep)
    numbers: dict[str, float] = {}
    for measure, values in puppet_means(results).items():
        if isinstance(values, dict):
            numbers.update({f"{measure}/{name}": value for name, value in values.items()})
        else:
            numbers[measure] = values
    return numbers, pictures
