"""Measures on a mouth's opening over time: how late it is, whether it closes, whether it keeps still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...media.waveform import SAMPLE_RATE
from .correlation import pearson

Curve = NDArray[np.floating]

FURTHEST_LAG = 5
"""Frames, early or late, in which the best lag is looked for."""

CLOSED, READ_CLOSED = 0.12, 0.16
"""Openings below which a true mouth, and one that was read from a picture, counts as closed; true ones in
between are neither closed nor open."""

SHORTEST_PAUSE = 0.25
"""Seconds without speech that make a pause."""

_SILENT = 10 ** (-45 / 20)
"""Loudness below which nothing is said: -45 dB of full scale."""

_ABOUT = 0.02
"""Seconds to either side of a moment whose loudness is told."""

_PAUSE_EDGE = 0.08
"""Seconds at either end of a pause in which the mouth still moves from or to a sound."""

FEWEST_FRAMES = 2 * FURTHEST_LAG + 10
"""Frames that a clip needs for its lag."""


@dataclass(frozen=True)
class Lag:
    """By how much an opening follows another.

    Attributes:
        frames: positive: late.
        correlation: at this lag.
    """

    frames: int
    correlation: float


def best_lag(read: Curve, at: NDArray[np.int_], truth: Curve) -> Lag | None:
    """The shift within ``FURTHEST_LAG`` frames at which what was read correlates best with the truth.

    All shifts are compared in the same frames, so the outermost ones of the clip take no part.

    Args:
        read: openings (n,) of some frames.
        at: their numbers, (n,).
        truth: openings of all frames, (F,).

    Returns:
        None where one of the curves is constant.
    """
    inside = (at >= FURTHEST_LAG) & (at < len(truth) - FURTHEST_LAG)
    read, at = read[inside], at[inside]
    if not len(at) or np.ptp(read) == 0 or np.ptp(truth[at]) == 0:
        return None
    # The smaller of two equally good shifts.
    shifts = sorted(range(-FURTHEST_LAG, FURTHEST_LAG + 1), key=abs)
    found = [Lag(shift, pearson(read, truth[at - shift])) for shift in shifts]
    return max(found, key=lambda lag: lag.correlation)


def closure_counts(read: Curve, truth: Curve) -> NDArray[np.float64]:
    """Closed in both, in what was read alone, and in the truth alone: numbers of frames, float64 (3,).

    Args:
        read, truth: openings (n,) of the same frames.
    """
    seen, shut, opened = read < READ_CLOSED, truth < CLOSED, truth >= READ_CLOSED
    return np.array([(seen & shut).sum(), (seen & opened).sum(), (~seen & shut).sum()], np.float64)


def closure_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1, the harmonic mean of precision and recall, of ``closure_counts`` (..., 3); 0 without any closed."""
    both, read_alone, true_alone = np.moveaxis(counts, -1, 0)
    return np.asarray(2 * both / np.maximum(2 * both + read_alone + true_alone, 1e-9))


def loudness(sound: NDArray[np.float32], times: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root mean square of a sound in the 40 ms about each moment; beyond its ends it is silent.

    Args:
        sound: (samples,), 16 kHz mono, -1..1.
        times: in seconds, (n,).
    """
    energy = np.concatenate(([0.0], np.cumsum(np.square(sound, dtype=np.float64))))
    first, last = (
        np.clip(np.rint((times + side * _ABOUT) * SAMPLE_RATE), 0, len(sound)).astype(int) for side in (-1, 1)
    )
    return np.asarray(np.sqrt(np.maximum(energy[last] - energy[first], 0) / (2 * _ABOUT * SAMPLE_RATE)))


def pauses(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Begin and end in seconds, (n, 2), of each stretch of at least .25 s in which a sound is below -45 dB.

    Args:
        sound: (samples,), 16 kHz mono, -1..1.
    """
    loud = np.abs(sound) >= _SILENT
    edges = np.flatnonzero(np.concatenate(([True], loud, [True])))
    gaps = np.stack((edges[:-1], edges[1:] - 1), axis=1) / SAMPLE_RATE
    return gaps[gaps[:, 1] - gaps[:, 0] >= SHORTEST_PAUSE]


def quiet_frames(times: NDArray[np.floating], pauses: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Frames inside a pause, bool (F,), but for .08 s at either end of it.

    Args:
        times: of the frames, (F,), in seconds.
        pauses: begin and end of each in seconds, (n, 2).
    """
    begins, ends = pauses[:, 0, None] + _PAUSE_EDGE, pauses[:, 1, None] - _PAUSE_EDGE
    return np.asarray(((times >= begins) & (times <= ends)).any(axis=0))


def deviation(curve: Curve) -> float:
    """Standard deviation of an opening; NaN of fewer than two frames."""
    return float(curve.std()) if len(curve) > 1 else float("nan")
