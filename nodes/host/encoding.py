"""The core's conditions from the host's values, on networks that the host holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import comfy.model_management
import numpy as np
import torch
from comfy.clip_vision import ClipVisionModel
from comfy.sd import VAE
from comfy_api.latest import Input
from torch import Tensor

from ...megactor_core.animation.checks import check_background, check_motion, check_patches
from ...megactor_core.conditioning.audio import encode_audio as hear
from ...megactor_core.conditioning.control import CHUNK_LENGTH as HINT_CHUNK_LENGTH
from ...megactor_core.conditioning.control import encode_hints
from ...megactor_core.conditioning.driving import CHUNK_LENGTH, driving_features
from ...megactor_core.conditioning.reference import reference_condition
from ...megactor_core.errors import InputError
from ...megactor_core.media.timing import exact_frame_rate
from ...megactor_core.media.waveform import SAMPLE_RATE, read_waveform, silence
from ...megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    DrivingFeatures,
    ReferenceCondition,
    moved,
)
from ...megactor_core.models.denoiser import HintReader
from .clip_vision import background_tokens
from .images import only_mask, only_picture, to_pixels
from .portrait_model import PortraitModel
from .progress import NodeProgress
from .vae import check_vae, encode_posterior
from .video import samples_of

_ALIVE_VALUES = 24
"""Values alive at most per pixel of a driving frame while it is encoded."""

_SILENT_FRAME_RATE = Fraction(25)
"""Frames per second that silence is heard at; it sounds the same at any other."""


def encode_reference(
    model: PortraitModel,
    portrait: Tensor,
    foreground: Tensor,
    seed: int,
    vae: VAE,
    more_references: ReferenceCondition | None = None,
) -> ReferenceCondition:
    """The portrait's latents, mask and modulation.

    Args:
        model: to encode for.
        portrait: IMAGE of one picture.
        foreground: MASK of the same size, 1 = person.
        seed: of the posterior's sample, where the model takes one.
        vae: the model's own or another of the same latent space.
        more_references: other pictures of the same person; the denoiser reads their tokens too.

    Raises:
        InputError: several pictures, a mask or more references of another size, or a VAE that does not fit.
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
    latents = encode_posterior(vae, pixels, model.config.latent_space, seed if sampled else None)
    denoiser = model.load().denoiser
    mean, concatenated = (part.to(model.device) for part in latents)
    joins = concatenated if model.config.concatenated_reference else None
    condition = reference_condition(denoiser, pixels, mask, mean, joins)
    condition = moved(condition, comfy.model_management.intermediate_device())
    if more_references is None:
        return condition
    others = more_references.latents.to(condition.latents)
    if others.shape[1:] != condition.latents.shape[1:]:
        scale = model.config.latent_space.pixels_per_cell
        raise InputError(
            f"more_references of {others.shape[3] * scale}x{others.shape[2] * scale}",
            f"the portrait is {width}x{height}",
            "Give every Segment Reference the same size",
        )
    return replace(condition, latents=torch.cat([condition.latents, others]))


def encode_background(
    model: PortraitModel, background: Tensor, clip_vision: ClipVisionModel | None
) -> BackgroundCondition:
    """The background's tokens.

    Args:
        model: to encode for.
        background: IMAGE of one picture, the person blacked out.
        clip_vision: the model's own or another of the same width; None for a model that reads no background.

    Raises:
        InputError: several pictures, an encoder that does not fit, or a model that reads no background.
    """
    check_background(model.config, given=True)
    assert clip_vision is not None
    picture = only_picture(background, "background")
    width = model.config.denoiser.cross_attention_dim
    return BackgroundCondition(background_tokens(clip_vision, picture, width))


def encode_driving(model: PortraitModel, condition: Tensor, patches: Tensor | None = None) -> DrivingFeatures:
    """Features of driving frames, encoded in chunks; the bar moves and a cancel takes effect after each.

    Args:
        model: to encode for.
        condition: IMAGE, one picture per frame; colours are averaged but for ControlNets.
        patches: IMAGE, eyes and mouth of the same frames, for a model with ControlNets.

    Raises:
        InputError: patches that are missing, of other frames, or of no use.
    """
    check_patches(model.config, patches is not None)
    num_frames, height, width = condition.shape[:3]
    if patches is not None:
        if patches.shape[:3] != condition.shape[:3]:
            raise InputError(
                f"patches of {len(patches)} frames, {patches.shape[2]}x{patches.shape[1]}",
                f"condition has {num_frames} frames, {width}x{height}",
                "Use both of the same Prepare Driving",
            )
        cells = [model.config.latent_space.cells(side) for side in (height, width)]
        pictures = (
            {"face_control": signed(frame), "patch_control": signed(patch)}
            for frame, patch in zip(condition, patches, strict=True)
        )
        controls = encode_hints(
            load_controls(model, height, width),
            pictures,
            num_frames,
            device=model.device,
            dtype=model.dtype,
            keep_on=comfy.model_management.intermediate_device(),
            on_chunk=NodeProgress(num_frames).report,
        )
        return DrivingFeatures(torch.empty(num_frames, 0, *cells, dtype=model.dtype), controls)
    encoder = model.load(driving_memory(model, height, width)).denoiser.driving_encoder
    assert encoder is not None
    return driving_features(
        encoder,
        _grey_frames(condition),
        num_frames,
        device=model.device,
        dtype=model.dtype,
        keep_on=comfy.model_management.intermediate_device(),
        on_chunk=NodeProgress(num_frames).report,
    )


def driving_memory(model: PortraitModel, height: int, width: int) -> int:
    """Bytes for encoding a chunk of driving frames of that size in pixels."""
    return CHUNK_LENGTH * height * width * _ALIVE_VALUES * model.dtype.itemsize


def load_controls(model: PortraitModel, height: int, width: int) -> dict[str, HintReader]:
    """The ControlNets on the device, with room for a chunk of hints of that size in pixels."""
    assert model.config.control_network is not None
    values = model.config.control_network.hint_activation_values(HINT_CHUNK_LENGTH * height * width)
    return model.load_controls(values * model.dtype.itemsize)


def encode_audio(
    model: PortraitModel, audio: Input.Audio | None, frame_rate: float, num_frames: int
) -> AudioCondition:
    """Audio condition of a clip for a sound that begins with its first frame.

    Args:
        model: to encode for.
        audio: AUDIO of one clip; None is what nodes give of a video without sound.
        frame_rate: frames per second.
        num_frames: of the clip, silent where the sound is shorter; 0 for as long as the sound lasts.

    Raises:
        InputError: a model that hears nothing, no sound, several, or one that is empty or not finite.
    """
    check_motion(model.config, driving=True, speech=True)
    if audio is None:
        raise InputError("audio", "the linked video has no sound", "Link another, or leave Encode Audio out")
    rate = exact_frame_rate(frame_rate)
    waveform = read_waveform(samples_of(audio), duration=num_frames / rate if num_frames else None)
    count = num_frames or math.ceil(len(waveform) * rate / SAMPLE_RATE)
    return encode_waveform(model, waveform, (index / rate for index in range(count)))


def encode_silence(model: PortraitModel, num_frames: int) -> AudioCondition:
    """Audio condition of silence."""
    waveform = silence(num_frames / _SILENT_FRAME_RATE)
    return encode_waveform(model, waveform, (index / _SILENT_FRAME_RATE for index in range(num_frames)))


def encode_waveform(model: PortraitModel, waveform: np.ndarray, times: Iterator[Fraction]) -> AudioCondition:
    """See ``megactor_core.conditioning.audio.encode_audio``."""
    heard = hear(model.load_audio_encoder(), waveform, times, model.device)
    return moved(heard, comfy.model_management.intermediate_device())


def signed(image: Tensor) -> np.ndarray:
    """A picture of an IMAGE, 0..1, as float32 in [-1, 1]."""
    return (image[..., :3].float() * 2 - 1).cpu().numpy()


def _grey_frames(images: Tensor) -> Iterator[np.ndarray]:
    for image in images:
        yield (image[..., :3].mean(dim=-1) * 255).cpu().numpy()
