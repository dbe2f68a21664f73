"""A contact sheet of an animation: reference, driver and result over time in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

COLUMNS = 8
_CELL = 160
_GAP = 4


def sheet_indices(num_frames: int) -> list[int]:
    """Frames to show: up to eight, evenly over the clip."""
    return sorted(set(np.linspace(0, num_frames - 1, COLUMNS).round().astype(int).tolist()))


def contact_sheet(
    reference: NDArray[np.uint8],
    driving_frames: Sequence[NDArray[np.uint8]],
    result_frames: Sequence[NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """Lay out the reference on the left, the driver above and the result below.

    Args:
        reference: uint8 RGB (H, W, 3).
        driving_frames, result_frames: as many of each, uint8 RGB (H, W, 3) of any sizes.

    Returns:
        uint8 RGB; cells are squares of 160 pixels.
    """
    height, width = 2 * _CELL + _GAP, (1 + len(driving_frames)) * (_CELL + _GAP) + _GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    _put(sheet, reference, 0, (height - _CELL) // 2)
    for row, frames in enumerate((driving_frames, result_frames)):
        for column, frame in enumerate(frames):
            _put(sheet, frame, (column + 1) * (_CELL + _GAP) + _GAP, row * (_CELL + _GAP))
    return sheet


def _put(sheet: NDArray[np.uint8], picture: NDArray[np.uint8], left: int, top: int) -> None:
    """Paint a picture into the middle of a cell, scaled to fit."""
    scale = _CELL / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, (width, height), interpolation=interpolation)
    top, left = top + (_CELL - height) // 2, left + (_CELL - width) // 2
    sheet[top : top + height, left : left + width] = small
