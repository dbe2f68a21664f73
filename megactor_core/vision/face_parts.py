"""Parts of a face by its 68 landmarks: the eyes with their brows, and the lower face around the mouth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .modes.eyes import REGIONS

_LEFT_JAW, _CHIN, _RIGHT_JAW, _NOSE_BASE = 4, 8, 12, 33


def part_boxes(landmarks: NDArray[np.floating], part: str, size: int) -> list[NDArray[np.float64]]:
    """Boxes (left, top, right, bottom) of a part of the face in pixels, grown by size / 32.

    The mouth is the whole lower face, jaw to jaw and nose to chin: an opening mouth moves chin and cheeks.

    Args:
        landmarks: dlib's 68 points, (68, 2) in pixels.
        part: "eyes", each with its brow, or "mouth".
        size: side of the picture in pixels.
    """
    points = np.asarray(landmarks, np.float64)
    margin = size / 32
    grown = np.array([-margin, -margin, margin, margin])
    if part == "eyes":
        eyes = [points[list(eye)] for eye in REGIONS["eyes"]]
        return [np.concatenate([eye.min(0), eye.max(0)]) + grown for eye in eyes]
    sides = sorted((points[_LEFT_JAW, 0], points[_RIGHT_JAW, 0]))
    heights = sorted((points[_NOSE_BASE, 1], points[_CHIN, 1]))
    return [np.array([sides[0], heights[0], sides[1], heights[1]]) + grown]
