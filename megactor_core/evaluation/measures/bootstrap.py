"""Bootstrap confidence intervals over clips: of a mean, and of what is computed from sums over all clips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SAMPLES = 2000
"""Times that the clips are drawn anew."""
CONFIDENCE = 0.95
FEWEST = 5
"""Clips below which there is no interval: drawing from fewer again and again tells nothing."""


def mean_with_interval(values: NDArray[np.float64], seed: int) -> dict[str, float | None]:
    """``mean`` with the ``low`` and ``high`` end of its 95 % confidence interval, by the percentile bootstrap
    (Efron 1979).

    Args:
        values: of the clips, (N,), N at least 1; there is no interval below ``FEWEST``.
        seed: of the drawing, 0 or more.
    """
    return _interval(float(values.mean()), values, lambda drawn: values[drawn].mean(axis=1), seed)


def statistic_with_interval(
    sums: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int,
) -> dict[str, float | None]:
    """``mean``, ``low`` and ``high`` as of ``mean_with_interval``, of a number that needs all clips at once.

    Args:
        sums: of each clip, (N, k).
        statistic: the number that belongs to sums over clips, from (..., k) to (...,).
        seed: of the drawing, 0 or more.
    """
    whole = float(statistic(sums.sum(axis=0)))
    return _interval(whole, sums, lambda drawn: statistic(sums[drawn].sum(axis=1)), seed)


def _interval(
    whole: float,
    clips: NDArray[np.float64],
    of_drawn: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    seed: int,
) -> dict[str, float | None]:
    if len(clips) < FEWEST:
        return {"mean": whole, "low": None, "high": None}
    drawn = np.random.default_rng(seed).integers(len(clips), size=(SAMPLES, len(clips)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(of_drawn(drawn), (tail, 1 - tail))
    return {"mean": whole, "low": float(low), "high": float(high)}
