"""Landmark lip sync: how well a mouth that is seen opens with the speech that is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .mouth_reader import MouthReader

FloatArray = NDArray[np.floating]

LARGEST_LAG = 10
"""Frames to both sides in which the best fit is looked for."""

_FEWEST = 10
"""Pairs of frames that a correlation is taken of, at least."""

# dlib's 68 points: the eyes, and the inner lips above and below.
_EYES = (slice(36, 42), slice(42, 48))
_UPPER, _LOWER = [61, 62, 63], [67, 66, 65]


@dataclass(frozen=True)
class LipSync:
    """Agreement of a clip's mouth with its sound.

    Attributes:
        r: Pearson correlation of the mouth that is seen and the opening that is heard, at the best lag; NaN
            where too few frames show a face, or the mouth or the sound never change.
        lag: frames by which the mouth comes after its sound at best, -10..10; negative where it comes before.
        r_at_0: correlation as the clip is.
        confidence: ``r`` minus the median over all lags: near 0 where none fits better than the others.
        frames: that show a face.
    """

    r: float
    lag: int
    r_at_0: float
    confidence: float
    frames: int


def lip_sync(
    landmarks: FloatArray | Sequence[FloatArray | None],
    sound: NDArray[np.float32],
    frame_rate: float,
    reader: MouthReader,
) -> LipSync:
    """Measure lip sync by landmarks; calibrated on rendered puppets, not on real speech.

    Args:
        landmarks: dlib's 68 points of every frame, (F, 68, 2) or F arrays (68, 2), in pixels; NaN or None
            where no face is found.
        sound: float32 ``(samples,)``, 16 kHz mono, that begins with the first frame.
        frame_rate: frames per second.
        reader: reads the mouth from the sound, see ``mouth_reader.load_mouth_reader``.

    Raises:
        InputError: there is no sound.
    """
    if not len(sound):
        raise InputError("sound", "is empty", "Give the sound of the clip")
    seen = mouth_ratios(landmarks)
    heard = reader.read(sound, np.arange(len(seen)) / frame_rate)[:, 0]
    found = lag_correlations(seen, heard)
    frames = int(np.isfinite(seen).sum())
    if np.isnan(found).all():
        return LipSync(np.nan, 0, np.nan, np.nan, frames)
    best = int(np.nanargmax(found))
    r = float(found[best])
    return LipSync(r, best - LARGEST_LAG, float(found[LARGEST_LAG]), r - float(np.nanmedian(found)), frames)


def mouth_ratios(landmarks: FloatArray | Sequence[FloatArray | None]) -> NDArray[np.float64]:
    """Height of the inner lips over the distance of the eyes, float64 (F,); NaN where no face is found."""
    points = np.stack(
        [np.full((68, 2), np.nan) if one is None else one for one in landmarks], dtype=np.float64
    )
    height = np.linalg.norm(points[:, _LOWER] - points[:, _UPPER], axis=-1).mean(-1)
    left, right = (points[:, eye].mean(1) for eye in _EYES)
    return height / np.linalg.norm(right - left, axis=-1)


def lag_correlations(seen: FloatArray, heard: FloatArray, largest: int = LARGEST_LAG) -> NDArray[np.float64]:
    """Pearson correlation of ``seen[f]`` with ``heard[f - lag]``, for lags of ``-largest`` to ``largest``.

    Pairs with NaN do not count; a lag with fewer than ten pairs, or of which one side is constant, is NaN.
    """
    count, found = len(seen), np.full(2 * largest + 1, np.nan)
    largest_here = min(largest, count)
    for lag in range(-largest_here, largest_here + 1):
        later, earlier = seen[max(lag, 0) : count + min(lag, 0)], heard[max(-lag, 0) : count - max(lag, 0)]
        usable = np.isfinite(later) & np.isfinite(earlier)
        if usable.sum() >= _FEWEST and np.ptp(later[usable]) and np.ptp(earlier[usable]):
            found[lag + largest] = np.corrcoef(later[usable], earlier[usable])[0, 1]
    return found
