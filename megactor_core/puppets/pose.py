"""Projection of a puppet's head to pixels for one motion."""

from __future__ import annotations

import numpy as np

from .face import DEPTH, Array
from .identity import Identity
from .motion import FloatArray

HEAD_LEVEL = 0.49
"""Height of the neutral head's centre, fraction of the frame."""

_YAW, _PITCH, _ROLL = np.radians((33, 23, 19))
_SHIFT_X, _SHIFT_Y, _ZOOM = 0.1, 0.06, 1.13


class Pose:
    """Projection of head points to pixels for one motion."""

    def __init__(self, identity: Identity, motion: FloatArray, size: int) -> None:
        yaw, pitch, roll, x, y, scale = (float(value) for value in motion[:6])
        zoom = _ZOOM**scale
        self.unit = identity.head_width * zoom * size
        self.zoom = zoom
        self.size = size
        self.shift = np.array((_SHIFT_X * x, _SHIFT_Y * y))
        middle = np.array((0.5, 0.5 + (HEAD_LEVEL - 0.5) * zoom)) + self.shift
        self.centre = middle * size - 0.5
        self.middle = (float(self.centre[0]), float(self.centre[1]))
        self.roll = roll * _ROLL
        cos_y, sin_y = np.cos(yaw * _YAW), np.sin(yaw * _YAW)
        cos_p, sin_p = np.cos(pitch * _PITCH), np.sin(pitch * _PITCH)
        cos_r, sin_r = np.cos(self.roll), np.sin(self.roll)
        turn = np.array(((cos_r, -sin_r), (sin_r, cos_r))) * self.unit
        # Rotation about the vertical axis, then about the horizontal one; third row: depth after both.
        rotation = np.array(
            (
                (cos_y, 0.0, sin_y),
                (-sin_y * sin_p, cos_p, cos_y * sin_p),
                (-sin_y * cos_p, -sin_p, cos_y * cos_p),
            )
        )
        self._turn = turn.T
        self._rotation = rotation.T
        # A silhouette does not foreshorten: only its depth moves it.
        self._slide = np.array(((1, 0), (0, 1), (sin_y, sin_p)))

    def features(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) on the head, with foreshortening and slight perspective."""
        turned = points @ self._rotation
        flat = turned[..., :2] * (1 + 0.1 * (turned[..., 2:] - DEPTH))
        return np.asarray(flat @ self._turn + self.centre)

    def silhouette(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) on the head's or hair's outer edge."""
        return np.asarray(points @ self._slide @ self._turn + self.centre)
