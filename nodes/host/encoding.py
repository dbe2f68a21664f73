"""The core's conditions from the host's values, on networks that the host holds."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management
import numpy as np
from comfy.clip_vision import ClipVisionModel
from comfy.sd import VAE
from torch import Tensor

from ...megactor_core.conditioning.conditions import (
    BackgroundCondition,
    DrivingFeatures,
    ReferenceCondition,
    moved,
)
from ...megactor_core.conditioning.driving import CHUNK_LENGTH, driving_features
from ...megactor_core.conditioning.reference import reference_condition
from ...megactor_core.errors import InputError
from ...megactor_core.models.driving_encoder import DrivingEncoder
from .clip_vision import background_tokens
from .images import only_mask, only_picture, to_pixels
from .portrait_model import PortraitModel
from .progress import NodeProgress
from .vae import check_vae, encode_posterior

_ALIVE_VALUES = 24
"""Values alive at most per pixel of a driving frame while it is encoded."""


def encode_reference(
    model: PortraitModel, portrait: Tensor, foreground: Tensor, seed: int, vae: VAE
) -> ReferenceCondition:
    """The portrait's latents, mask and modulation.

    Args:
        model: to encode for.
        portrait: IMAGE of one picture.
        foreground: MASK of the same size, 1 = person.
        seed: of the posterior's sample, where the model takes one.
        vae: the model's own or another of the same latent space.

    Raises:
        InputError: several pictures, a mask of another size, or a VAE that does not fit.
    """
    check_vae(vae, model.config)
    height, width = only_picture(portrait, "portrait").shape[:2]
    pixels, mask = to_pixels(portrait), only_mask(foreground, "foreground")
    if mask.shape != (height, width):
        raise InputError(
            f"foreground of {mask.shape[1]}x{mask.shape[0]}",
            f"the portrait is {width}x{height}",
            "Use portrait and foreground of the same Segment Reference",
        )
    sampled = model.config.reference_posterior == "sample"
    scaling_factor = model.config.vae["scaling_factor"]
    latents = encode_posterior(vae, pixels, scaling_factor, seed if sampled else None)
    denoiser = model.load().denoiser
    mean, concatenated = (part.to(model.device) for part in latents)
    condition = reference_condition(denoiser, pixels, mask, mean, concatenated)
    return moved(condition, comfy.model_management.intermediate_device())


def encode_background(
    model: PortraitModel, background: Tensor, clip_vision: ClipVisionModel
) -> BackgroundCondition:
    """The background's tokens.

    Args:
        model: to encode for.
        background: IMAGE of one picture, the person blacked out.
        clip_vision: the model's own or another of the same width.

    Raises:
        InputError: several pictures, or an encoder that does not fit.
    """
    picture = only_picture(background, "background")
    width = model.config.denoiser.cross_attention_dim
    return BackgroundCondition(background_tokens(clip_vision, picture, width))


def encode_driving(model: PortraitModel, condition: Tensor) -> DrivingFeatures:
    """Features of driving frames, encoded in chunks; the bar moves and a cancel takes effect after each.

    Args:
        model: to encode for.
        condition: IMAGE, one grey picture per frame; colours are averaged.
    """
    num_frames, height, width = condition.shape[:3]
    return driving_features(
        load_driving_encoder(model, height, width),
        _grey_frames(condition),
        num_frames,
        device=model.device,
        dtype=model.dtype,
        keep_on=comfy.model_management.intermediate_device(),
        on_chunk=NodeProgress(num_frames).report,
    )


def load_driving_encoder(model: PortraitModel, height: int, width: int) -> DrivingEncoder:
    """The encoder of driving frames on the device, with room for a chunk of frames of that size in pixels."""
    memory = CHUNK_LENGTH * height * width * _ALIVE_VALUES * model.dtype.itemsize
    return model.load(memory).denoiser.condition_input_layer


def _grey_frames(images: Tensor) -> Iterator[np.ndarray]:
    for image in images:
        yield (image[..., :3].mean(dim=-1) * 255).cpu().numpy()
