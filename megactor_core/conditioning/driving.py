"""Driving frames as conditions, encoded in chunks so that memory does not grow with the clip's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..models.conditions import DrivingCondition, DrivingFeatures, ReferenceCondition
from ..models.driving_encoder import DrivingEncoder

CHUNK_LENGTH = 8
"""Driving frames encoded together."""

PIXELS_PER_CELL = 8
"""The encoder halves the resolution three times."""


def _chunks(frames: Iterable[np.ndarray], length: int) -> Iterator[np.ndarray]:
    pending: list[np.ndarray] = []
    for frame in frames:
        pending.append(frame)
        if len(pending) == length:
            yield np.stack(pending)
            pending = []
    if pending:
        yield np.stack(pending)


def _features(encoder: DrivingEncoder, chunk: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    return grey_features(encoder, torch.from_numpy(chunk.astype(np.float32)).to(device, dtype)[None])


def grey_features(encoder: DrivingEncoder, grey: Tensor) -> Tensor:
    """Unmodulated ``(rows * frames, width, h, w)`` of grey frames ``(rows, frames, S, S)``, 0..255."""
    return encoder.features((grey / 255)[:, None].expand(-1, 3, -1, -1, -1))


def compose_driving(
    encoder: DrivingEncoder, grey: Tensor, modulation: Tensor
) -> tuple[DrivingCondition, Tensor]:
    """The condition of one clip or of many, with gradients to the encoder's weights.

    Args:
        encoder: the denoiser's ``driving_encoder``.
        grey: frames ``(rows, frames, S, S)``, 0..255, on its device and in its type.
        modulation: see ``ReferenceCondition``.

    Returns:
        The condition, its ``unconditional`` left out, and the unmodulated features of ``grey_features``.
    """
    features = grey_features(encoder, grey)
    return DrivingCondition(encoder.modulate(features, modulation, grey.shape[1])), features


@torch.inference_mode()
def driving_features(
    encoder: DrivingEncoder,
    frames: Iterable[np.ndarray],
    num_frames: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    keep_on: torch.device | None = None,
    chunk_length: int = CHUNK_LENGTH,
    on_chunk: Callable[[int], None] | None = None,
) -> DrivingFeatures:
    """Encode what does not depend on the portrait.

    Args:
        encoder: the denoiser's ``driving_encoder``.
        frames: grey condition frames ``(S, S)``, 0..255, any real type; consumed one chunk at a time.
        num_frames: how many there are, at least one.
        device, dtype: where and in what the encoder computes.
        keep_on: where the features are kept; ``device`` if not given.
        chunk_length: frames encoded together.
        on_chunk: called after every chunk with the frames done so far; raise in it to cancel.
    """
    kept: Tensor | None = None
    done = 0
    for chunk in _chunks(frames, chunk_length):
        features = _features(encoder, chunk, device, dtype)
        if kept is None:
            kept = torch.empty((num_frames, *features.shape[1:]), dtype=dtype, device=keep_on or device)
        kept[done : done + len(features)] = features
        done += len(features)
        if on_chunk is not None:
            on_chunk(done)
    if kept is None or done != num_frames:
        raise ValueError(f"{num_frames} driving frames were announced, {done} came")
    return DrivingFeatures(kept)


@torch.inference_mode()
def modulate_driving(
    encoder: DrivingEncoder,
    features: DrivingFeatures,
    modulation: Tensor,
    chunk_length: int = CHUNK_LENGTH,
) -> DrivingCondition:
    """Reduce the encoded frames to their channels, modulated by the portrait where the model does that.

    Args:
        encoder: the one that made ``features``, on ``modulation``'s device.
        features: from ``driving_features``; moved to that device one chunk at a time.
        modulation: from the reference picture, see ``ReferenceCondition``.
        chunk_length: frames modulated together.
    """
    chunks = (chunk.to(modulation) for chunk in features.features.split(chunk_length))
    channels = torch.cat([encoder.modulate(chunk, modulation, len(chunk)) for chunk in chunks], dim=2)
    return _condition(encoder, channels, modulation)


def no_driving_channels(num_frames: int, reference: ReferenceCondition) -> DrivingCondition:
    """Condition of a model whose driver does not join the noisy latent; it only counts the frames."""
    rows = len(reference.static_channels)
    height, width = reference.latents.shape[-2:]
    return DrivingCondition(reference.latents.new_empty(rows, 0, num_frames, height, width))


def _condition(encoder: DrivingEncoder, channels: Tensor, modulation: Tensor) -> DrivingCondition:
    if not encoder.black_unconditional:
        return DrivingCondition(channels)
    height, width = (PIXELS_PER_CELL * cells for cells in channels.shape[-2:])
    features = _features(encoder, np.zeros((1, height, width)), modulation.device, modulation.dtype)
    black = encoder.modulate(features, modulation, 1)
    # A black driver, as where sound alone drives, is the same for both rows, which then share work.
    return DrivingCondition(channels, None if torch.equal(channels, black.expand_as(channels)) else black)


@torch.inference_mode()
def encode_driving(
    encoder: DrivingEncoder,
    frames: Iterable[np.ndarray],
    modulation: Tensor,
    chunk_length: int = CHUNK_LENGTH,
    on_chunk: Callable[[int], None] | None = None,
) -> DrivingCondition:
    """Encode and modulate driving frames; the large unmodulated features live for one chunk only.

    Args:
        encoder: the denoiser's ``driving_encoder``, on ``modulation``'s device.
        frames: grey condition frames ``(S, S)``, 0..255, any real type; consumed one chunk at a time.
        modulation: from the reference picture, see ``ReferenceCondition``.
        chunk_length: frames encoded together.
        on_chunk: called after every chunk with the frames done so far; raise in it to cancel.
    """
    conditions, done = [], 0
    for chunk in _chunks(frames, chunk_length):
        features = _features(encoder, chunk, modulation.device, modulation.dtype)
        conditions.append(encoder.modulate(features, modulation, len(chunk)))
        done += len(chunk)
        if on_chunk is not None:
            on_chunk(done)
    return _condition(encoder, torch.cat(conditions, dim=2), modulation)
