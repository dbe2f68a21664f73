"""Reads the motion out of a puppet's frames: which parameters does the renderer need to draw them?"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...puppets.identity import Identity
from ...puppets.motion import MOTION_NAMES, MOTION_RANGES, MOUTH_COLUMNS, NEUTRAL_MOTION, FloatArray
from ...puppets.renderer import Puppet

Pixels = NDArray[np.float32]
Vector = NDArray[np.float64]

FIT_SIZE = 64
"""Side in pixels at which frames are compared."""

# Fits of more than the motion append parameters from -1 to 1, see ``shape_fit``.
_MORE = 2
_LOW = np.concatenate((MOTION_RANGES[:, 0].astype(np.float64), np.full(_MORE, -1.0)))
_HIGH = np.concatenate((MOTION_RANGES[:, 1].astype(np.float64), np.full(_MORE, 1.0)))
_HEAD = np.arange(6)
_ALL = np.arange(len(MOTION_NAMES))
_LIDS = (MOTION_NAMES.index("eyelid_left"), MOTION_NAMES.index("eyelid_right"))
_SMILE = MOTION_NAMES.index("smile")
_MOUTH = np.array(MOUTH_COLUMNS)
_HEAD_AND_MOUTH = np.concatenate((_HEAD, _MOUTH))

# The renderer's light moves in whole pixels: a smaller step would measure that instead of the motion.
_STEP = 0.1
_LONGEST_MOVE = 0.5
_SETTLED = 0.015
_BLUR = 1.0
_EXTRA_BLURS = (0.0, 0.8, 1.4, 2.2, 3.2)
_STARTS = 80
# The best alone led nowhere on 2 of 30 clips: a turned head can look like another one that is shifted.
_REFINED = 4


class MotionFitter:
    """Least-squares fit of the 15 motion parameters to frames of a known identity.

    Each frame is searched from the result of the frame before, the first from each of the best few of some
    random head poses; the true motion is never looked at. A step is Levenberg-Marquardt's on blurred
    pictures, with derivatives by differences of renderings. Since animated frames are softer than rendered
    ones, each rendering is blurred by the amount that explains the frame best. Closed lids hide from
    derivatives what is under them, and a smile has a false optimum at the opposite bend, so both are also
    tried out. About 700 renderings for the first frame, 100 for each further one.

    Args:
        identity: who the frames show.
        size: side of the frames in pixels. Lines are drawn in whole pixels, so that a puppet of another size
            is another picture however it is reduced, and a mouth would be read as more closed than it is.
    """

    def __init__(self, identity: Identity, size: int) -> None:
        # drawn at twice its size and reduced, a small one is the same as a large one that is reduced
        self._drawn = FIT_SIZE if size == 2 * FIT_SIZE else size
        self._puppet = Puppet(identity, self._drawn)

    def fit(self, frames: Iterable[NDArray[np.uint8]], start: FloatArray | None = None) -> FloatArray:
        """Motion of frames in order, float32 (F, 15) in the ranges of ``MOTION_RANGES``.

        Args:
            frames: uint8 (S, S, 3) RGB; neighbours in time, or every few frames.
            start: (15,), motion that was read from pictures like the first frame; spares most of its search.
        """
        fitted: list[Vector] = []
        previous = None if start is None else start.astype(np.float64)
        for frame in frames:
            target = small_frame(frame)
            if previous is not None:
                motion = self._descend(target, previous, _HEAD, blur=2.0, steps=1)
            else:
                motion = self._best(
                    target, [self._settled(target, pose) for pose in self._starts(target)], _BLUR
                )
            motion = self._try_features(target, motion)
            previous = self._descend(target, motion, _ALL, blur=_BLUR, steps=5)
            fitted.append(previous)
        return np.stack(fitted).astype(np.float32)

    def fit_mouth(self, frames: Iterable[NDArray[np.uint8]], near: FloatArray) -> FloatArray:
        """Motion of frames that differ from others, whose motion was read, in head and mouth alone.

        A frame is searched from the head of the other one and from the mouth of the frame before, the first
        from a mouth at rest; eyes and brows are those of the other one. About 20 renderings a frame.

        Args:
            frames: see ``fit``.
            near: motion of the others, float32 (F, 15).

        Returns:
            float32 (F, 15).
        """
        fitted: list[Vector] = []
        for frame, known in zip(frames, near.astype(np.float64), strict=True):
            target, motion = small_frame(frame), known.copy()
            motion[_MOUTH] = fitted[-1][_MOUTH] if fitted else NEUTRAL_MOTION[_MOUTH]
            for _ in range(1 if fitted else 2):
                motion = self._descend(target, motion, _HEAD_AND_MOUTH, blur=_BLUR, steps=1)
                motion = self._try_smiles(target, motion)
                motion = self._descend(target, motion, _MOUTH, blur=_BLUR, steps=2)
            fitted.append(motion)
        return np.stack(fitted).astype(np.float32)

    def _render(self, motion: Vector) -> Pixels:
        return small_frame(self._puppet.image(motion.astype(np.float32)))

    def _settled(self, target: Pixels, pose: Vector) -> Vector:
        """The motion near a head pose with a neutral face."""
        motion = self._descend(target, pose, _HEAD, blur=3.0, steps=6)
        return self._descend(target, self._try_features(target, motion), _ALL, blur=1.5, steps=12)

    def _ranked(self, target: Pixels, candidates: Iterable[Vector], blur: float) -> list[Vector]:
        """Candidates, the one whose rendering is closest first."""
        target = _blurred(target, blur)
        return sorted(candidates, key=lambda motion: _distance(target, _blurred(self._render(motion), blur)))

    def _best(self, target: Pixels, candidates: Iterable[Vector], blur: float) -> Vector:
        return self._ranked(target, candidates, blur)[0]

    def _starts(self, target: Pixels) -> list[Vector]:
        """The best few of a fixed set of random head poses with a neutral face, the best first."""
        poses = np.tile(NEUTRAL_MOTION.astype(np.float64), (_STARTS + 1, 1))
        poses[1:, _HEAD] = np.clip(np.random.default_rng(0).normal(0, 0.5, (_STARTS, len(_HEAD))), -1, 1)
        return self._ranked(target, poses, blur=2.0)[:_REFINED]

    def _try_features(self, target: Pixels, motion: Vector) -> Vector:
        """The best of each eye as it is, closed and open; then of some smiles."""
        left, right = _LIDS
        lids = [
            _changed(_changed(motion, left, a), right, b)
            for a in (motion[left], 0.0, 0.85)
            for b in (motion[right], 0.0, 0.85)
        ]
        return self._try_smiles(target, self._best(target, lids, _BLUR))

    def _try_smiles(self, target: Pixels, motion: Vector) -> Vector:
        smiles = [_changed(motion, _SMILE, value) for value in (motion[_SMILE], -0.6, 0.0, 0.6)]
        return self._best(target, smiles, _BLUR)

    def _descend(
        self, target: Pixels, motion: Vector, active: NDArray[np.int_], blur: float, steps: int
    ) -> Vector:
        """Levenberg-Marquardt over the ``active`` parameters, inside their ranges."""
        target = _blurred(target, blur)
        drawn, damping = self._render(motion), 1e-2
        for _ in range(steps):
            blurs = [float(np.hypot(blur, extra)) for extra in _EXTRA_BLURS]
            drawn_blur = min(blurs, key=lambda b: _distance(target, _blurred(drawn, b)))
            current = _blurred(drawn, drawn_blur)
            error = _distance(target, current)
            slopes = self._slopes(motion, current, active, drawn_blur)
            normal = (slopes @ slopes.T).astype(np.float64)
            downhill = (slopes @ (target - current).ravel()).astype(np.float64)
            for _ in range(5):
                candidate = _step(motion, active, normal, downhill, damping)
                drawn = self._render(candidate)
                if _distance(target, _blurred(drawn, drawn_blur)) < error:
                    break
                damping *= 8
            else:
                return motion
            damping = max(damping / 4, 1e-4)
            moved = float(np.abs(candidate - motion).max())
            motion = candidate
            if moved < _SETTLED:
                break
        return motion

    def _slopes(self, motion: Vector, current: Pixels, active: NDArray[np.int_], blur: float) -> Pixels:
        """Derivatives (parameters, pixels) of the blurred rendering."""
        slopes = np.empty((len(active), current.size), np.float32)
        for row, index in zip(slopes, active, strict=True):
            step = _STEP if motion[index] + _STEP <= _HIGH[index] else -_STEP
            moved = self._render(_changed(motion, index, motion[index] + step))
            row[:] = ((_blurred(moved, blur) - current) / np.float32(step)).ravel()
        return slopes


def _step(
    motion: Vector, active: NDArray[np.int_], normal: Vector, downhill: Vector, damping: float
) -> Vector:
    """One damped Gauss-Newton step; parameters that press against their range stay there."""
    values, diagonal = motion[active], np.diag(normal)
    pressed = ((values <= _LOW[active]) & (downhill < 0)) | ((values >= _HIGH[active]) & (downhill > 0))
    free = np.flatnonzero(~pressed)
    damped = normal + np.diag(damping * diagonal + 1e-6 * diagonal.max() + 1e-9)
    step = np.zeros(len(active))
    step[free] = np.linalg.solve(damped[np.ix_(free, free)], downhill[free])
    moved = motion.copy()
    moved[active] = np.clip(
        values + np.clip(step, -_LONGEST_MOVE, _LONGEST_MOVE), _LOW[active], _HIGH[active]
    )
    return moved


def small_frame(frame: NDArray[np.uint8]) -> Pixels:
    """A frame as it is compared, float32 (64, 64, 3)."""
    return cv2.resize(frame, (FIT_SIZE, FIT_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _changed(motion: Vector, index: int, value: float) -> Vector:
    changed = motion.copy()
    changed[index] = value
    return changed


def _blurred(image: Pixels, blur: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.float32)


def _distance(first: Pixels, second: Pixels) -> float:
    return float(np.square(first - second).sum())
