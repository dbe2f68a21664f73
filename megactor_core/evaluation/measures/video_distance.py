"""Frechet video distance, with a network of video features that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from ...errors import InputError

SIZE = 224
"""Side in pixels of the pictures that the network sees."""

_REMEDY = "Give an ONNX file: float32 (1, 3, frames, 224, 224) RGB in -1..1 to one vector"


class VideoFeatures:
    """A network of video features, e.g. I3D trained on Kinetics-400 (Carreira and Zisserman 2017).

    Args:
        weights: ONNX network that OpenCV can read: float32 (1, 3, frames, 224, 224) RGB in -1..1 to one
            vector.
        frames: of the clips.

    Raises:
        InputError: no such file, or a network that does not take such clips.
    """

    def __init__(self, weights: Path, frames: int) -> None:
        if not weights.is_file():
            raise InputError(weights, "there is no such file", _REMEDY)
        logging: Any = getattr(cv2.utils, "logging", cv2)
        log_level = logging.setLogLevel(0)
        try:
            self._network = cv2.dnn.readNetFromONNX(str(weights))
            self(np.zeros((frames, 8, 8, 3), np.uint8))
        except (cv2.error, SystemError) as error:
            problem = f"is not a network that OpenCV can run on clips of {frames} frames"
            raise InputError(weights, problem, _REMEDY) from error
        finally:
            logging.setLogLevel(log_level)

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (D,) of a clip, uint8 RGB (F, H, W, 3)."""
        pictures = [cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for frame in frames]
        clip = np.stack(pictures).astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1
        self._network.setInput(clip)
        return np.asarray(self._network.forward(), np.float64).ravel()


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Frechet distance of the normal distributions fitted to two sets of features (N, D), N at least 2."""
    distance = FrechetInceptionDistance(feature=_AsTheyAre(first.shape[1]))
    distance.set_dtype(torch.float64)
    distance.update(torch.from_numpy(first), real=True)
    distance.update(torch.from_numpy(second), real=False)
    return max(0.0, float(distance.compute()))


class _AsTheyAre(nn.Module):
    """Stands for the network that features come from; ``FrechetInceptionDistance`` wants one."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
