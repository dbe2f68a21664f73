"""Validation of the denoiser: held-out clips sampled as a user would, beside their exact truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..conditioning.background import encode_context
from ..conditioning.conditions import Conditions
from ..conditioning.driving import encode_driving
from ..conditioning.reference import encode_reference
from ..data.clips import ClipPair, clip_pair
from ..models.build import Networks
from ..models.config import ModelConfig
from ..sampling.decode import decode_latents, to_uint8
from ..sampling.sampler import SamplingSettings, sample
from .puppet_clips import driving_frames_condition
from .sheets import save_sheet
from .task_config import DenoiserTaskConfig

Images = NDArray[np.uint8]


def validate_denoiser(
    config: DenoiserTaskConfig, model: ModelConfig, networks: Networks, seed: int, picture: Path
) -> Mapping[str, float]:
    """PSNR in dB of sampled frames and of the copied reference; the sheet shows driver, truth and result."""
    settings = SamplingSettings.from_defaults(
        model.defaults,
        num_inference_steps=config.validation.num_inference_steps,
        guidance_scale=1.0,
        shared_noise=config.shared_noise,
        seed=seed,
    )
    results, copies, rows = [], [], []
    for index in range(config.validation.clips):
        pair = clip_pair(
            seed, index, config.validation.frames, config.data.size, "held-out", config.data.frame_rate
        )
        output = _animate(model, networks, pair, settings)
        reference = pair.reference.image[None].repeat(len(output), 0)
        results.append(_psnr(output, pair.truth_frames))
        copies.append(_psnr(reference, pair.truth_frames))
        if index < 4:
            rows += [
                np.concatenate([pair.reference.image[None], images[:8]])
                for images in (pair.driver_frames, pair.truth_frames, output)
            ]
    save_sheet(picture, rows)
    return {"psnr": float(np.mean(results)), "copy_psnr": float(np.mean(copies))}


def _animate(model: ModelConfig, networks: Networks, pair: ClipPair, settings: SamplingSettings) -> Images:
    image, mask = pair.reference.image, pair.reference.mask
    reference = encode_reference(networks, image, mask)
    driving = driving_frames_condition(pair.driver_frames, pair.driver_boxes, whole=False)
    encoder = networks.denoiser.condition_input_layer
    conditions = Conditions(
        reference=reference,
        background=encode_context(networks, image, mask),
        driving=encode_driving(encoder, driving, reference.modulation),
    )
    latents = sample(networks, model, conditions, settings)
    return np.stack([to_uint8(frame) for frame in decode_latents(networks.vae, latents)])


def _psnr(first: Images, second: Images) -> float:
    """Mean over frames, dB."""
    error = np.square(first.astype(np.float32) - second).mean((1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-3))))
