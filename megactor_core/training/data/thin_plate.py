"""Thin-plate spline warp of a picture, whose border stays in place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID = 33
"""Points along a side where the spline is computed; between them it is nearly linear."""

Points = NDArray[np.float64]


class ThinPlateWarp:
    """Warp of a square that moves some points by given offsets, bent as little as possible (Bookstein 1989).

    Corners of the square, and the middles of its sides, stay in place.

    Args:
        points: (n, 2) in pixels of the square.
        offsets: (n, 2), where they go from there.
        size: side of the square in pixels.
    """

    def __init__(self, points: Points, offsets: Points, size: int) -> None:
        border = np.array([[x, y] for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
        self._from = np.concatenate([points, border * (size - 1)])
        self._to = self._from + np.concatenate([offsets, np.zeros_like(border)])
        self._size = size

    def moved(self, points: Points) -> Points:
        """Where points (m, 2) come to lie."""
        return _spline(self._from, self._to, points)

    def apply(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """The warped picture, (size, size, 3)."""
        steps = np.linspace(0, self._size - 1, _GRID)
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        sources = _spline(self._to, self._from, grid).reshape(_GRID, _GRID, 2).astype(np.float32)
        rows = np.linspace(0, _GRID - 1, self._size, dtype=np.float32)
        columns, lines = np.meshgrid(rows, rows)
        fine = cv2.remap(sources, columns, lines, cv2.INTER_LINEAR)
        return np.asarray(
            cv2.remap(picture, fine[..., 0].copy(), fine[..., 1].copy(), cv2.INTER_LINEAR), np.float32
        )


def _spline(known: Points, values: Points, at: Points) -> Points:
    """The thin-plate spline through ``values`` at ``known``, evaluated elsewhere."""
    count = len(known)
    affine = np.column_stack([np.ones(count), known])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(known, known)
    system[:count, count:], system[count:, :count] = affine, affine.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    return _kernel(at, known) @ weights[:count] + np.column_stack([np.ones(len(at)), at]) @ weights[count:]


def _kernel(first: Points, second: Points) -> Points:
    squared = ((first[:, None] - second[None]) ** 2).sum(axis=-1)
    return squared * np.log(np.where(squared > 0, squared, 1))
