"""Frames of a driving mode for a whole clip in memory, in 256 levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .mode import GREY, ClipFaces, DrivingMode, PlanOptions

Levels = Mapping[str, NDArray[np.uint8]]
"""Pictures of all frames by the names of ``DrivingMode.pictures``: grey uint8 (frames, S, S), hints of
ControlNets uint8 (frames, S, S, 3); 0..255 stands for their whole range."""


def show(
    mode: DrivingMode,
    squares: Iterable[NDArray[np.floating] | NDArray[np.uint8]],
    faces: ClipFaces,
    affine: NDArray[np.float64] | None = None,
) -> Levels:
    """Show a clip to a model as training data hold it.

    Args:
        mode: how.
        squares: RGB (S, S, 3), 0..255, one per frame.
        faces: in the squares. A mode that needs a face must be given one.
        affine: float64 (2, 3), moves every picture; what it does not cover is 0.
    """
    plan, _ = mode.plan(faces, PlanOptions())
    frames = [plan.pictures(i, np.asarray(square, np.float32)) for i, square in enumerate(squares)]
    shown = {}
    for name in mode.pictures:
        pictures = np.stack([frame[name] for frame in frames])
        if name != GREY:
            pictures = (pictures + 1) * np.float32(127.5)
        if affine is not None:
            pictures = np.stack([cv2.warpAffine(one, affine, one.shape[1::-1]) for one in pictures])
        shown[name] = (pictures + 0.5).astype(np.uint8)
    return shown


@dataclass(frozen=True, eq=False)
class ShownPlan:
    """A ``Plan`` whose pictures are known already."""

    levels: Levels

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """See ``mode.Plan``; the square is not looked at."""
        return {
            name: frames[index].astype(np.float32) / (1 if name == GREY else 127.5) - (name != GREY)
            for name, frames in self.levels.items()
        }
