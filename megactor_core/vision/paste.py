"""Puts an animated crop back into the picture it came from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Crop

# Share of the crop's side over which its border fades into the picture.
_FEATHER = 0.12
_STRIP = 64  # rows that are enlarged at a time


def paste_back(
    frame: NDArray[np.uint8],
    crop: Crop,
    picture: NDArray,
    mask: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Blends a crop into its picture at the picture's own resolution.

    The crop's border fades out, except along the picture's own border, where there is nothing to fade into.

    Args:
        frame: uint8 RGB (H, W, 3) of ``crop.source_size``; not changed.
        crop: where the picture was cut out.
        picture: (h, w, 3) of any size, 0..255: the animated crop.
        mask: float32 (H, W), 0..1: how much of the crop is used at each pixel of ``frame``; None: all of it.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: frame or mask are not of ``crop.source_size``.
    """
    if frame.shape[:2] != crop.source_size or (mask is not None and mask.shape != crop.source_size):
        raise ValueError(f"frame and mask must be of the crop's picture, {crop.source_size}")
    left, top, right, bottom = crop.box
    height, width = crop.source_size
    rows = slice(max(top, 0), min(bottom, height))
    columns = slice(max(left, 0), min(right, width))
    inside = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    resized = _resized(picture.astype(np.float32), (bottom - top, right - left), *inside)
    vertical, horizontal = _ramps(crop)
    weight = vertical[inside[0], None] * horizontal[None, inside[1]]
    if mask is not None:
        weight = weight * mask[rows, columns]
    result = frame.copy()
    behind = frame[rows, columns].astype(np.float32)
    blended = behind + weight[..., None] * (resized - behind)
    result[rows, columns] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return result


def _resized(
    picture: NDArray[np.float32], box_size: tuple[int, int], rows: slice, columns: slice
) -> NDArray[np.float32]:
    """Some rows and columns of a picture resized to (height, width), of which little more is ever held."""
    height, width = box_size
    method = cv2.INTER_AREA if picture.shape[0] > width else cv2.INTER_CUBIC
    tall = cv2.resize(picture, (picture.shape[1], height), interpolation=method)[rows]
    strips = np.array_split(tall, -(-len(tall) // _STRIP))
    wide = [cv2.resize(strip, (width, len(strip)), interpolation=method)[:, columns] for strip in strips]
    return np.concatenate(wide)


def _ramps(crop: Crop) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights of the rows and of the columns of the crop's box: 1 inside, 0 at its border."""
    left, top, right, bottom = crop.box
    height, width = crop.source_size
    horizontal = _ramp(right - left, fade_start=left > 0, fade_end=right < width)
    vertical = _ramp(bottom - top, fade_start=top > 0, fade_end=bottom < height)
    return vertical, horizontal


def _ramp(side: int, fade_start: bool, fade_end: bool) -> NDArray[np.float32]:
    distance = (np.arange(side) + 0.5) / (_FEATHER * side)
    ramp = np.ones(side)
    for fades, steps in ((fade_start, distance), (fade_end, distance[::-1])):
        if fades:
            part = np.clip(steps, 0, 1)
            ramp = ramp * part * part * (3 - 2 * part)
    return ramp.astype(np.float32)
