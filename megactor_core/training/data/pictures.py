"""Batches of single rendered pictures with a weight map: puppets, and pictures of all kinds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...puppets.identity import sample_identity
from ...puppets.motion import sample_pose
from ...puppets.renderer import Puppet
from ...seeds import PICTURES, Split, clip_generator
from .loader import Batch
from .procedural import procedural_picture

# dlib's 68 points: each eye with its brow, and the mouth. Glances and expressions live here.
_FEATURES = (
    [*range(17, 22), *range(36, 42)],
    [*range(22, 27), *range(42, 48)],
    [*range(48, 68)],
)


class RenderedPictures(Dataset[Batch]):
    """Item ``i`` is batch ``i`` of puppets, each of another identity, and procedural pictures.

    Tensors: ``pictures`` uint8 (B, 3, S, S) and ``weights`` float32 (B, 1, S, S). A piece of a procedural
    picture is drawn as a small one.

    Args:
        seed: seed of the data.
        split: "train" or "held-out".
        size: side of the pictures in pixels.
        batch_size: pictures per item.
        feature_weight: weight around a puppet's eyes, brows and mouth; 1 elsewhere.
        procedural_share: share of pictures that are no puppets.
        crop: side S of the piece of every picture that an item has; the whole by default.
    """

    def __init__(
        self,
        seed: int,
        split: Split,
        size: int,
        batch_size: int,
        feature_weight: float,
        procedural_share: float = 0.0,
        crop: int | None = None,
    ) -> None:
        self.seed, self.split, self.size = seed, split, size
        self.batch_size, self.feature_weight = batch_size, feature_weight
        self.procedural_share = procedural_share
        self.crop = crop or size

    def __getitem__(self, index: int) -> Batch:
        first = index * self.batch_size
        drawn = [self._draw(first + i) for i in range(self.batch_size)]
        pictures, weights = zip(*drawn, strict=True)
        return {
            "pictures": torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
            "weights": torch.from_numpy(np.stack(weights))[:, None],
        }

    def _draw(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Picture and error weights."""
        rng = clip_generator(self.seed, index, self.split)
        how = clip_generator(self.seed, index, self.split, PICTURES)
        if how.random() < self.procedural_share:
            return procedural_picture(rng, self.crop), np.ones((self.crop, self.crop), np.float32)
        frame = Puppet(sample_identity(rng), self.size).frame(sample_pose(rng))
        top, left = how.integers(0, self.size - self.crop + 1, 2)
        piece = np.s_[top : top + self.crop, left : left + self.crop]
        weights = feature_weights(frame.landmarks, self.size, self.feature_weight)
        return frame.image[piece], weights[piece]


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
