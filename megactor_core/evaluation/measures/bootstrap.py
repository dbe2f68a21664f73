"""Bootstrap confidence interval of a mean over clips."""

from __future__ import annotations

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
    mean = float(values.mean())
    if len(values) < FEWEST:
        return {"mean": mean, "low": None, "high": None}
    drawn = np.random.default_rng(seed).integers(len(values), size=(SAMPLES, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[drawn].mean(axis=1), (tail, 1 - tail))
    return {"mean": mean, "low": float(low), "high": float(high)}
