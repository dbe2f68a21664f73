"""The second step: what was seen and heard as conditions, with the networks of a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from ..conditioning.amplitude import scale_conditions
from ..conditioning.audio import encode_audio as hear
from ..conditioning.control import encode_hints as encode_hint_pictures
from ..conditioning.driving import encode_driving as encode_frames
from ..conditioning.driving import no_driving_channels
from ..conditioning.reference import reference_condition
from ..conditioning.start import encode_start
from ..media.source import DrivingSource
from ..media.waveform import silence
from ..models.conditions import (
    AudioCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
    StartCondition,
)
from ..motion import AS_DRIVEN, Amplitude
from ..vision.crops import squashed_crop
from ..vision.driving import PreparedDriving
from ..vision.portrait import Portrait
from .backend import Backend

OnChunk = Callable[[int], None] | None
"""Told the frames done so far."""


def encode_conditions(
    backend: Backend,
    portrait: Portrait,
    driving: PreparedDriving,
    seed: int,
    *,
    on_chunk: OnChunk = None,
    more_portraits: Sequence[Portrait] = (),
    strengths: Mapping[str, ControlStrength] | None = None,
    waveform: NDArray[np.float32] | None = None,
    amplitude: Amplitude = AS_DRIVEN,
) -> Conditions:
    """All conditions of the clip; see ``AnimationSteps.condition``."""
    reference = encode_reference(backend, portrait, seed)
    if more_portraits:
        latents = [encode_reference(backend, other, seed).latents for other in more_portraits]
        reference = replace(reference, latents=torch.cat([reference.latents, *latents]))
    background = backend.encode_background(portrait)
    encoded = encode_driving(backend, driving, reference, on_chunk)
    controls = encode_hints(backend, driving, strengths or {}, on_chunk)
    if waveform is None:
        waveform = silence(driving.source.duration)
    audio = encode_audio(backend, waveform, driving.times())
    conditions = Conditions(reference, background, encoded, audio, controls=controls)
    return scale_conditions(conditions, amplitude)


def encode_reference(backend: Backend, portrait: Portrait, seed: int) -> ReferenceCondition:
    """Latents, mask and modulation of the portrait; the seed matters where the posterior is sampled."""
    sampled = backend.config.reference_posterior == "sample"
    mean, concatenated = backend.encode_picture(portrait.pixels, seed if sampled else None)
    denoiser = backend.denoiser()
    mean, concatenated = mean.to(backend.device), concatenated.to(backend.device)
    joins = concatenated if backend.config.concatenated_reference else None
    return reference_condition(denoiser, portrait.pixels, portrait.foreground, mean, joins)


def encode_driving(
    backend: Backend, driving: PreparedDriving, reference: ReferenceCondition, on_chunk: OnChunk = None
) -> DrivingCondition:
    """Features of the driving frames, read in chunks."""
    if backend.config.driving_encoder is None:
        return no_driving_channels(driving.num_frames, reference)
    encoder = backend.denoiser(driving.crop.size).driving_encoder
    assert encoder is not None
    modulation = reference.modulation.to(backend.device, backend.dtype)
    return encode_frames(encoder, driving.conditions(), modulation, on_chunk=on_chunk)


def encode_hints(
    backend: Backend,
    driving: PreparedDriving,
    strengths: Mapping[str, ControlStrength],
    on_chunk: OnChunk = None,
) -> dict[str, ControlCondition]:
    """Hints of the driving frames for the ControlNets, read in chunks; empty where the model has none."""
    if backend.config.control_network is None:
        return {}
    return encode_hint_pictures(
        backend.controls(driving.crop.size),
        driving.pictures(),
        driving.num_frames,
        strengths,
        device=backend.device,
        dtype=backend.dtype,
        on_chunk=on_chunk,
    )


def encode_audio(
    backend: Backend, waveform: NDArray[np.float32], times: Iterator[Fraction]
) -> AudioCondition | None:
    """The sound at the frames' times; None where the model hears nothing. See ``conditioning.audio``."""
    encoder = backend.audio_encoder()
    return None if encoder is None else hear(encoder, waveform, times, backend.device)


def encode_start_video(backend: Backend, video: DrivingSource, size: int, num_frames: int) -> StartCondition:
    """The first frames of a video that sampling starts from, squashed to the square."""
    square = squashed_crop((video.height, video.width), size)
    pictures = (square.apply(image).round().astype(np.uint8) for _, _, image in video.frames())
    return encode_start(lambda picture: backend.encode_picture(picture)[0], pictures, num_frames)
