"""Pictures for people to look at: what was taken of a picture, and clips as rows of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .pictures import save_picture

COLUMNS = 8
_CELL = 160
_GAP = 4
_PREVIEW_HEIGHT = 320
_OUTLINE = (255, 64, 64)
# What is left of the background's brightness.
_DIMMED = 0.3


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
    rows = picture_rows(driving_frames, result_frames)
    left = np.full((len(rows), _CELL + 2 * _GAP, 3), 255, np.uint8)
    _put(left, reference, 0, (len(rows) - _CELL) // 2)
    right = np.full((len(rows), _GAP, 3), 255, np.uint8)
    return np.concatenate([left, rows, right], axis=1)


def picture_rows(*rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Lay out rows of as many pictures each, one below the other.

    Args:
        rows: uint8 RGB (H, W, 3) of any sizes.

    Returns:
        uint8 RGB; cells are squares of 160 pixels on white.
    """
    height, width = (count * (_CELL + _GAP) - _GAP for count in (len(rows), len(rows[0])))
    sheet = np.full((height, width, 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            _put(sheet, picture, column * (_CELL + _GAP), row * (_CELL + _GAP))
    return sheet


def crop_preview(
    picture: NDArray[np.uint8],
    box: tuple[int, int, int, int],
    cropped: NDArray[np.uint8],
    foreground: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Show what was taken of a picture: the square in it, and beside it the person on a dimmed background.

    Args:
        picture: uint8 RGB (H, W, 3).
        box: the square, left, top, right, bottom in its pixels; it may reach over the border.
        cropped: uint8 RGB (size, size, 3).
        foreground: float32 (size, size), 0..1, 1 = person.

    Returns:
        uint8 RGB, 320 pixels high.
    """
    scale = min(_PREVIEW_HEIGHT / picture.shape[0], 2 * _PREVIEW_HEIGHT / picture.shape[1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    whole = _resize(picture, height, width)
    left, top, right, bottom = (round(side * scale) for side in box)
    outside = np.ones((height, width), bool)
    outside[max(top, 0) : bottom, max(left, 0) : right] = False
    whole[outside] = whole[outside] // 2
    cv2.rectangle(whole, (left, top), (right - 1, bottom - 1), _OUTLINE, 2)
    shown = cropped * (_DIMMED + (1 - _DIMMED) * foreground[..., None])
    sheet = np.full((_PREVIEW_HEIGHT, width + _GAP + _PREVIEW_HEIGHT, 3), 255, np.uint8)
    above = (_PREVIEW_HEIGHT - height) // 2
    sheet[above : above + height, :width] = whole
    sheet[:, -_PREVIEW_HEIGHT:] = _resize(shown.astype(np.uint8), _PREVIEW_HEIGHT, _PREVIEW_HEIGHT)
    return sheet


def _put(sheet: NDArray[np.uint8], picture: NDArray[np.uint8], left: int, top: int) -> None:
    """Paint a picture into the middle of a cell, scaled to fit."""
    scale = _CELL / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    top, left = top + (_CELL - height) // 2, left + (_CELL - width) // 2
    sheet[top : top + height, left : left + width] = _resize(picture, height, width)


def _resize(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    interpolation = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def save_sheet(path: Path, rows: Sequence[NDArray[np.uint8]]) -> None:
    """Write rows of pictures, each uint8 (n, H, W, 3) RGB, one under the other; replaces an earlier sheet.

    Rows without pictures are left out, and shorter ones end in white.
    """
    lines = [np.concatenate(list(row), axis=1) for row in rows if len(row)]
    width = max(line.shape[1] for line in lines)
    padded = [
        np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines
    ]
    save_picture(path, np.concatenate(padded), overwrite=True)


def to_images(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (n, 3, H, W) in [-1, 1] -> uint8 (n, H, W, 3)."""
    values = ((pictures.float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).numpy().astype(np.uint8))
