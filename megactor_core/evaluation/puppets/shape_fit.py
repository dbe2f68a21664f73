"""Reads how wide and how high a puppet's face is drawn: which shape does the renderer need to draw it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...puppets.identity import Identity
from ...puppets.motion import MOTION_NAMES, FloatArray
from ...puppets.pose import Pose
from ...puppets.renderer import Puppet
from .motion_fit import MotionFitter, Pixels, Vector, small_frame

_SCALE = MOTION_NAMES.index("scale")
_MOTION = len(MOTION_NAMES)
# Nearness would enlarge both axes as well.
_FREE = np.array([index for index in range(_MOTION + 2) if index != _SCALE])
_HALF_RANGE = 0.5
"""Logarithm of the largest change of an axis."""
_BLUR = 1.0
_SOME = 3
# Lengths that a face has upwards, in multiples of its width.
_UPRIGHT = ("eye_height", "brow_thickness", "brow_arch", "nose_size", "lip_thickness")


class ShapeFitter(MotionFitter):
    """Least-squares fit of a face's width and height, with its motion, to frames of a known identity.

    The frame's motion is looked for first, as the known identity would have it; then the steps of
    ``MotionFitter`` change both axes of the face too. Works on soft pictures, whose outline no threshold
    finds.

    Args:
        identity: who the frames are to show.
        size: side of the frames in pixels.
    """

    def __init__(self, identity: Identity, size: int) -> None:
        super().__init__(identity, size)
        self._identity = identity
        self._shaped = lru_cache(8)(self._shape)

    def fit_shape(self, frames: Iterable[NDArray[np.uint8]], motion: FloatArray) -> FloatArray:
        """Width and height of the face in pixels of the frames of side 1, float32 (F, 2).

        Args:
            frames: uint8 (S, S, 3) RGB.
            motion: what ``fit`` read of them, (F, 15).
        """
        found = []
        for frame, known in zip(frames, motion.astype(np.float64), strict=True):
            start = np.concatenate((known, np.zeros(2)))
            fitted = self._descend(small_frame(frame), start, _FREE, blur=2.0, steps=4)
            found.append(self._descend(small_frame(frame), fitted, _FREE, blur=_BLUR, steps=5))
        return np.stack([self._axes(fitted) for fitted in found])

    def mean_axes(self, frames: NDArray[np.uint8], motion: FloatArray, truth: FloatArray) -> FloatArray:
        """Width and height of the face over the true ones, means over up to three of the frames, (2,).

        Args:
            frames, motion: see ``fit_shape``.
            truth: true motion, (F, 15).
        """
        some = np.unique(np.linspace(0, len(frames) - 1, _SOME).round().astype(int))
        true = np.stack([face_axes(self._identity, float(pose[_SCALE])) for pose in truth[some]])
        return np.asarray((self.fit_shape(frames[some], motion[some]) / true).mean(axis=0))

    def _axes(self, fitted: Vector) -> FloatArray:
        return face_axes(stretched(self._identity, *_factors(fitted)), float(fitted[_SCALE]))

    def _render(self, motion: Vector) -> Pixels:
        if len(motion) == _MOTION or not motion[_MOTION:].any():
            return super()._render(motion[:_MOTION])
        puppet = self._shaped(*_factors(motion))
        return small_frame(puppet.image(motion[:_MOTION].astype(np.float32)))

    def _shape(self, width: float, height: float) -> Puppet:
        return Puppet(stretched(self._identity, width, height), self._drawn)


def stretched(identity: Identity, width: float, height: float) -> Identity:
    """The identity with a face that is wider and higher by these factors."""
    upright = {name: getattr(identity, name) * height / width for name in _UPRIGHT}
    return replace(
        identity,
        head_width=identity.head_width * width,
        head_height=identity.head_height * height,
        **upright,
    )


def face_axes(identity: Identity, scale: float) -> FloatArray:
    """Width and height of a face at a motion's scale, as shares of the picture's side, float32 (2,)."""
    motion = np.zeros(_MOTION, np.float32)
    motion[_SCALE] = scale
    width = Pose(identity, motion, 1).unit
    return np.array([2 * width, 2 * width * identity.head_height / identity.head_width], np.float32)


def _factors(fitted: Vector) -> tuple[float, float]:
    width, height = np.exp(_HALF_RANGE * fitted[_MOTION:]).tolist()
    return width, height
