"""Batches of single puppet pictures with a weight map, rendered while training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...puppets.identity import sample_identity
from ...puppets.motion import sample_pose
from ...puppets.renderer import Puppet, PuppetFrame
from ...seeds import Split, clip_generator
from .loader import Batch

# dlib's 68 points: each eye with its brow, and the mouth. Glances and expressions live here.
_FEATURES = (
    [*range(17, 22), *range(36, 42)],
    [*range(22, 27), *range(42, 48)],
    [*range(48, 68)],
)


class PuppetPictures(Dataset[Batch]):
    """Item ``i`` is batch ``i``: ``pictures`` uint8 (B, 3, S, S) and ``weights`` float32 (B, 1, S, S).

    Args:
        seed: seed of the data.
        split: "train" or "held-out".
        size: side of the pictures in pixels.
        batch_size: pictures per item, each of another identity.
        feature_weight: weight around eyes, brows and mouth; 1 elsewhere.
    """

    def __init__(self, seed: int, split: Split, size: int, batch_size: int, feature_weight: float) -> None:
        self.seed, self.split, self.size = seed, split, size
        self.batch_size, self.feature_weight = batch_size, feature_weight

    def __getitem__(self, index: int) -> Batch:
        frames = [self._draw(index * self.batch_size + i) for i in range(self.batch_size)]
        pictures = np.stack([frame.image for frame in frames]).transpose(0, 3, 1, 2)
        weights = np.stack(
            [feature_weights(frame.landmarks, self.size, self.feature_weight) for frame in frames]
        )
        return {
            "pictures": torch.from_numpy(np.ascontiguousarray(pictures)),
            "weights": torch.from_numpy(weights)[:, None],
        }

    def _draw(self, index: int) -> PuppetFrame:
        rng = clip_generator(self.seed, index, self.split)
        return Puppet(sample_identity(rng), self.size).frame(sample_pose(rng))


def feature_weights(landmarks: NDArray[np.float32], size: int, weight: float) -> NDArray[np.float32]:
    """Map (size, size): ``weight`` in the boxes of eyes with brows and mouth, grown by size / 32, else 1."""
    weights = np.ones((size, size), np.float32)
    margin = size / 32
    for points in _FEATURES:
        low = np.clip(landmarks[points].min(0) - margin, 0, size).astype(int)
        high = np.clip(landmarks[points].max(0) + margin + 1, 0, size).astype(int)
        weights[low[1] : high[1], low[0] : high[0]] = weight
    return weights


def to_signed(pictures: Tensor) -> Tensor:
    """uint8 pictures as float32 in [-1, 1]."""
    return pictures.float() / 127.5 - 1
