"""Driving frames as conditions, encoded in chunks so that memory does not grow with the clip's pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..models.driving_encoder import DrivingEncoder
from .conditions import DrivingCondition


def _chunks(frames: Iterable[np.ndarray], length: int) -> Iterator[np.ndarray]:
    pending: list[np.ndarray] = []
    for frame in frames:
        pending.append(frame)
        if len(pending) == length:
            yield np.stack(pending)
            pending = []
    if pending:
        yield np.stack(pending)


@torch.inference_mode()
def encode_driving(
    encoder: DrivingEncoder, frames: Iterable[np.ndarray], modulation: Tensor, chunk_length: int = 8
) -> DrivingCondition:
    """Encode driving condition frames.

    Args:
        encoder: the denoiser's ``condition_input_layer``.
        frames: grey condition frames ``(S, S)``, 0..255, any real type; consumed one chunk at a time.
        modulation: from the reference picture, ``(1, 2 * width)``.
        chunk_length: frames encoded together.
    """
    features = []
    for chunk in _chunks(frames, chunk_length):
        grey = torch.from_numpy(chunk.astype(np.float32)).to(modulation) / 255
        features.append(encoder(grey[None, None].expand(-1, 3, -1, -1, -1), modulation))
    return DrivingCondition(torch.cat(features, dim=2))
