"""Validation of the denoiser: held-out clips animated as a user would, beside their truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...animator import Animator
from ...media.contact_sheet import save_sheet
from ...media.pictures import Images
from ...media.writing import VideoWriter
from ...models.config import ModelConfig
from ...models.networks import Networks
from ...sampling.sampler import SamplingSettings
from ...vision.modes.registry import MODES
from ...weights.loading import LoadedModel
from ..config.tasks import DenoiserTaskConfig, PuppetClipsConfig
from ..data.batches import clip_batches

_KEPT_CLIPS = 4
_SHEET_FRAMES = 8
_FRAME_RATE = 25


@dataclass(frozen=True)
class ValidationClip:
    """One animated clip: the reference uint8 (S, S, 3), the others uint8 (F, S, S, 3)."""

    reference: Images
    driver: Images
    truth: Images
    output: Images


@dataclass(frozen=True)
class _Still:
    image: Images
    mask: NDArray[np.float32]


def validate_denoiser(
    config: DenoiserTaskConfig, model: ModelConfig, networks: Networks, seed: int, folder: Path | None
) -> Mapping[str, float]:
    """Measures of held-out clips, always the same ones; the first few are kept to look at.

    Puppets are measured as ``evaluate puppets`` does it: ``psnr/cross``, ``gain/over_copy`` and so on. Of
    clips in shards, PSNR in dB and SSIM against the truth (``shards/psnr``), beside those of the reference
    copied over (``shards/copy_psnr``); puppets are measured as well.

    Args:
        config: of the task.
        model: of the networks.
        networks: as they are in training, in evaluation mode.
        seed: of data and sampling.
        folder: for ``*.mp4`` (reference, driver, truth and result side by side) and ``*.png`` (the same as
            sheets); None writes nothing.
    """
    from ...evaluation.puppets.evaluate import EvaluationSettings
    from ...evaluation.puppets.validation import measure_puppets

    animator = Animator(LoadedModel(model, networks, Path("training")))
    sampling = SamplingSettings.from_defaults(
        model.defaults,
        num_inference_steps=config.validation.num_inference_steps,
        guidance_scale=1.0,
        shared_noise=config.shared_noise,
        seed=seed,
    )
    settings = EvaluationSettings(
        seed=seed,
        clips=config.validation.clips,
        frames=config.validation.frames,
        size=config.data.size,
        driving_condition="face",
        fit_frames=0,
        sampling=sampling,
        driving_mode=model.driving_modes[0],
    )
    numbers, clips = measure_puppets(animator, settings)
    shown = [
        ("puppet", ValidationClip(clip.reference, clip.driver, clip.truth, clip.output)) for clip in clips
    ]
    if not isinstance(config.data, PuppetClipsConfig):
        pairs = _shard_pairs(config, model, animator, sampling, seed)
        numbers |= _measure(pairs)
        shown = [("clip", pair) for pair in pairs]
    if folder is not None:
        for index, (kind, pair) in enumerate(shown[:_KEPT_CLIPS]):
            _save(folder, f"{kind}_{index}", pair)
    return numbers


def _shard_pairs(
    config: DenoiserTaskConfig, model: ModelConfig, animator: Animator, sampling: SamplingSettings, seed: int
) -> list[ValidationClip]:
    from ...evaluation.puppets.animation import PuppetAnimation
    from ...evaluation.puppets.drives import Drive

    batches = clip_batches(config, model, seed, "held-out", config.validation.frames)
    mode = MODES[model.driving_modes[0]]
    pairs = []
    for index in range(config.validation.clips):
        batch = batches[index]
        image, truth = _images(batch["references"])[0], _images(batch["targets"][0])
        background = F.interpolate(batch["background_masks"], size=image.shape[:2])[0, 0]
        animation = PuppetAnimation(animator, _Still(image, 1 - background.numpy()), sampling)
        shown = {name: _pictures_last(batch[name][0]) for name in mode.pictures}
        sound = batch["sound"][0].numpy() if "sound" in batch else np.zeros(0, np.float32)
        driver = shown[mode.pictures[0]]
        driver = driver if driver.ndim == 4 else driver[..., None].repeat(3, -1)
        pairs.append(ValidationClip(image, driver, truth, animation.drive(Drive(shown, sound), mode)))
    return pairs


def _measure(pairs: Sequence[ValidationClip]) -> dict[str, float]:
    from ...evaluation.measures import pixels as metrics

    numbers = {}
    for name, measure in (("psnr", metrics.psnr), ("ssim", metrics.ssim)):
        copies = [np.broadcast_to(pair.reference, pair.truth.shape).copy() for pair in pairs]
        numbers[f"shards/{name}"] = float(np.mean([measure(pair.output, pair.truth) for pair in pairs]))
        numbers[f"shards/copy_{name}"] = float(
            np.mean([measure(copy, pair.truth) for copy, pair in zip(copies, pairs, strict=True)])
        )
    return numbers


def _save(folder: Path, name: str, pair: ValidationClip) -> None:
    reference = np.broadcast_to(pair.reference, pair.truth.shape)
    frames = np.concatenate([reference, pair.driver, pair.truth, pair.output], axis=2)
    height, width = frames.shape[1:3]
    with VideoWriter(folder / f"{name}.mp4", width, height, Fraction(_FRAME_RATE), overwrite=True) as video:
        for frame in frames:
            video.write(frame)
    rows = [
        np.concatenate([pair.reference[None], images[:_SHEET_FRAMES]])
        for images in (pair.driver, pair.truth, pair.output)
    ]
    save_sheet(folder / f"{name}.png", rows)


def _pictures_last(pictures: Tensor) -> Images:
    """Grey (n, H, W) as it is, colours (n, 3, H, W) -> (n, H, W, 3)."""
    return pictures.numpy() if pictures.ndim == 3 else _images(pictures)


def _images(pictures: Tensor) -> Images:
    """(n, 3, H, W) -> (n, H, W, 3)."""
    return np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())
