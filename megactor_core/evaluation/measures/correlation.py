"""Pearson's correlation, of all clips together, from sums that can be drawn anew for an interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]
"""Sums over the frames of a clip, (6,): of 1, x, y, x^2, y^2 and xy; of several clips they add up."""

# Below this variance a curve counts as constant: sums of squares cannot tell it from 0.
_CONSTANT = 1e-9


def pearson(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Pearson correlation of two curves; 0 where one of them is constant or there is nothing."""
    if not len(first) or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def correlation_sums(first: NDArray[np.floating], second: NDArray[np.floating]) -> Sums:
    """What ``correlation_of`` needs of the frames of a clip.

    Args:
        first, second: curves (n,).
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return np.array([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])


def correlation_of(sums: Sums) -> NDArray[np.float64]:
    """Pearson correlation over all frames of the clips whose sums were added up.

    Args:
        sums: (..., 6).

    Returns:
        (...,); 0 where a curve is constant.
    """
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    count = np.maximum(count, 1)
    varies = np.stack([xx / count - (x / count) ** 2, yy / count - (y / count) ** 2])
    together = xy / count - x * y / count**2
    scale = np.sqrt(np.maximum(varies, _CONSTANT).prod(axis=0))
    return np.asarray(np.where(varies.min(axis=0) < _CONSTANT, 0.0, together / scale))
