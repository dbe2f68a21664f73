"""Gaze of an eye, from its corners and its iris: turning the head does not count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MESH_EYES = ((33, 133, 159, 145, 468), (362, 263, 386, 374, 473))
"""Corners (picture's left, right), lids (upper, lower) and iris of both eyes in MediaPipe's mesh."""

# An eyeball of 12 mm radius behind an opening of 30 mm.
_RADIUS = 0.4


def eye_angles(
    left: NDArray[np.floating], right: NDArray[np.floating], iris: NDArray[np.floating]
) -> tuple[float, float]:
    """Yaw to the picture's right and pitch downwards in the head, in degrees.

    The iris is taken for a point on a ball behind the middle of the eye's opening.

    Args:
        left, right: corners in the picture, (2,) in pixels.
        iris: its centre, likewise.
    """
    axis = np.asarray(right - left, np.float64)
    width = np.linalg.norm(axis)
    along = axis / width
    offset = (iris - (left + right) / 2) / (_RADIUS * width)
    sines = np.clip([offset @ along, offset @ np.array([-along[1], along[0]])], -1, 1)
    yaw, pitch = np.degrees(np.arcsin(sines)).tolist()
    return yaw, pitch
