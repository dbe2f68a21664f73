"""Evaluates a model on held-out puppets, clip by clip, against their exact truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...animator import Animator
from ...media.pictures import Images
from ...puppets.clips import ClipPair
from ...puppets.motion import FloatArray
from ...sampling.sampler import SamplingSettings
from ...vision.modes.plain import PLAIN
from ...vision.modes.registry import MODES
from ..measures import pixels as metrics
from .animation import PuppetAnimation, autoencode
from .drives import (
    DRIVES,
    STRETCHES,
    DrivingCondition,
    PuppetDrives,
    puppet_drives,
    stretched_pictures,
)
from .shape_fit import ShapeFitter

Scores = dict[str, dict[str, float]]

FITTED = ("output", "autoencoder", "truth")
"""Frames whose motion is read."""


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation on puppets.

    Attributes:
        seed: of the held-out clips.
        clips: their number.
        frames: frames of each, at 25 a second; at least 2.
        size: side of the pictures in pixels.
        driving_condition: what of drivers is shown to the model, see ``puppet_drives``.
        driving_mode: how it is shown: one of the model's modes.
        scale_leak: whether stretched drivers are tried too; needs ``fit_frames``.
        fit_frames: the motion is read from every so many frames; 0 leaves it out.
        sampling: how clips are sampled.
    """

    seed: int
    clips: int
    frames: int
    size: int
    driving_condition: DrivingCondition
    fit_frames: int
    sampling: SamplingSettings
    driving_mode: str = PLAIN.name
    scale_leak: bool = False


@dataclass(frozen=True)
class ClipResult:
    """The numbers of one clip.

    Attributes:
        index: number of the clip.
        scores: ``{measure: {what: value}}``, see ``score_clip``; and ``stillness`` in dB, PSNR between the
            reference and the ``output`` that it drives itself, or what its ``autoencoder`` keeps of it.
        motion: true motion of the frames that were read, (n, 15); n is 0 if none.
        fitted: motion read from them, by the names of ``FITTED``.
        axes: width and height of the face over the true ones, means over some frames, (2,), by the same
            names; where the scale leak is tested also by those of ``STRETCHES``, of what a stretched driver
            drives, and ``stretched``, of the truth's pictures when they are as wide as the widest driver.
    """

    index: int
    scores: Scores
    motion: FloatArray
    fitted: dict[str, FloatArray]
    axes: dict[str, FloatArray]


@dataclass(frozen=True)
class ClipFrames:
    """The pictures of one clip: reference uint8 (S, S, 3), the others uint8 (F, S, S, 3)."""

    reference: Images
    driver: Images
    truth: Images
    output: Images


def evaluate_puppets(
    animator: Animator, settings: EvaluationSettings, on_clip: Callable[[ClipResult, ClipFrames], None]
) -> None:
    """Evaluate clip after clip; a clip's result does not depend on how many there are.

    Args:
        animator: with the model.
        settings: what to evaluate.
        on_clip: receives each clip's numbers and pictures.

    Raises:
        InputError: sampling settings out of range.
    """
    for index in range(settings.clips):
        drives = puppet_drives(
            settings.seed,
            index,
            settings.frames,
            settings.size,
            settings.driving_condition,
            MODES[settings.driving_mode],
        )
        animation = PuppetAnimation(animator, drives.pair.reference, settings.sampling)
        outputs = {name: animation.drive(drives.drives[name], drives.mode) for name in DRIVES}
        pair = drives.pair
        decoded = autoencode(animator, pair.truth_frames)
        portrait = pair.reference.image[None]
        still = animation.drive(drives.still, drives.mode)
        stillness = {
            "output": metrics.psnr(still, portrait.repeat(len(still), axis=0)),
            "autoencoder": metrics.psnr(autoencode(animator, portrait), portrait),
        }
        frames = ClipFrames(pair.reference.image, pair.driver_frames, pair.truth_frames, outputs["cross"])
        scores = {**score_clip(drives, outputs, decoded), "stillness": stillness}
        read = {"output": outputs["cross"], "autoencoder": decoded, "truth": pair.truth_frames}
        if settings.scale_leak:
            read |= {name: animation.drive(drive, drives.mode) for name, drive in drives.stretched.items()}
            read["stretched"] = stretched_pictures(
                pair.truth_frames, pair.truth_landmarks, max(STRETCHES.values())
            )
        on_clip(_result(index, pair, scores, read, settings.fit_frames), frames)


def score_clip(drives: PuppetDrives, outputs: dict[str, Images], decoded: Images) -> Scores:
    """All measures of one clip's drives but motion.

    - ``psnr`` in dB and ``ssim`` against the truth: every drive of ``DRIVES``, ``autoencoder`` (the truth
      through the VAE) and ``copy`` (the reference, unmoved)
    - ``identity`` in dB: by how much ``output``, ``autoencoder`` and ``copy`` are closer to the truth than
      to the ``driver``, and than to the portrait's puppet with the ``shape`` of the driver's face
    - ``leakage`` in dB: ``outputs``, PSNR between those of two drivers with the same motion; ``above_truth``,
      by how much that exceeds output against truth; ``drivers``, PSNR between the drivers themselves
    - ``background`` in dB: PSNR where every true frame shows background
    - ``flicker`` and ``static_flicker`` in grey levels: mean absolute difference of neighbouring frames,
      everywhere and where the truth never changes
    - ``sharpness``: mean energy of the Laplacian
    """
    pair = drives.pair
    truth = pair.truth_frames
    copy = np.broadcast_to(pair.reference.image, truth.shape).copy()
    compared = {"autoencoder": decoded, **outputs, "copy": copy}
    psnr = {name: metrics.psnr(frames, truth) for name, frames in compared.items()}
    agreement = metrics.psnr(outputs["cross"], outputs["second"])
    background, static = metrics.background_pixels(pair.truth_masks), metrics.static_pixels(truth)
    moving = {"output": outputs["cross"], "autoencoder": decoded, "truth": truth}
    wrong = {"driver": pair.driver_frames, "shape": drives.alike_frames}
    return {
        "psnr": psnr,
        "identity": {
            f"{name}_over_{kind}": psnr[key] - metrics.psnr(compared[key], frames)
            for kind, frames in wrong.items()
            for name, key in (("output", "cross"), ("autoencoder", "autoencoder"), ("copy", "copy"))
        },
        "ssim": {name: metrics.ssim(frames, truth) for name, frames in compared.items()},
        "leakage": {
            "outputs": agreement,
            "above_truth": agreement - psnr["cross"],
            "drivers": metrics.psnr(pair.driver_frames, drives.second_frames),
        },
        "background": {
            "output": metrics.psnr(outputs["cross"], truth, background),
            "autoencoder": metrics.psnr(decoded, truth, background),
            "copy": metrics.psnr(copy, truth, background),
        },
        "flicker": {name: metrics.flicker(frames) for name, frames in moving.items()},
        "static_flicker": {name: metrics.flicker(frames, static) for name, frames in moving.items()},
        "sharpness": {name: metrics.sharpness(frames) for name, frames in moving.items()},
    }


def _result(
    index: int, pair: ClipPair, scores: Scores, read: dict[str, Images], fit_frames: int
) -> ClipResult:
    chosen = slice(None, None, fit_frames) if fit_frames else slice(0)
    motion = pair.motion[chosen]
    fitted: dict[str, FloatArray] = {}
    axes: dict[str, FloatArray] = {}
    if fit_frames:
        fitter = ShapeFitter(pair.clip.identity, pair.truth_frames.shape[1])
        for name in FITTED:
            fitted[name] = fitter.fit(read[name][chosen])
        for name, frames in read.items():
            near = fitted.get(name, fitted["truth" if name == "stretched" else "output"])
            axes[name] = fitter.mean_axes(frames[chosen], near, motion)
    return ClipResult(index=index, scores=scores, motion=motion, fitted=fitted, axes=axes)
