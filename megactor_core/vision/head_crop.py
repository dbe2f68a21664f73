"""The square around a head that MegActor-Sigma was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .crops import Crop

# Shares of the longer side of the faces' union, from its centre: left, top, right, bottom.
_REACH = np.array([-0.9, -1.0, 0.9, 0.8])


def head_rectangle(boxes: ArrayLike, source_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom around the union of all face boxes of a clip, inside the picture.

    Args:
        boxes: (F, 4) left, top, right, bottom in pixels; one row for a single picture.
        source_size: (height, width) of the frames.
    """
    boxes = np.atleast_2d(np.asarray(boxes, np.float64))
    height, width = source_size
    first, last = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    reach = np.tile((first + last) / 2, 2) + _REACH * (last - first).max()
    left, top, right, bottom = np.clip(reach, 0, [width, height, width, height]).tolist()
    return left, top, right, bottom


def head_crop(boxes: ArrayLike, source_size: tuple[int, int], size: int) -> Crop:
    """The largest square in the middle of the head's rectangle.

    Args:
        boxes, source_size: see ``head_rectangle``.
        size: side of the crop in pixels.

    Raises:
        InputError: the faces' union lies on the picture's border, so that no square fits.

    Source: MegActor-Sigma's public inference code (arXiv 2408.14975).
    """
    left, top, right, bottom = head_rectangle(boxes, source_size)
    x, y, half = (left + right) / 2, (top + bottom) / 2, min(right - left, bottom - top) / 2
    box = (int(x - half), int(y - half), int(x + half), int(y + half))
    # Rounding down both ends may leave one side a pixel longer, which the reference resizes away.
    if box[2] <= box[0] or box[3] <= box[1]:
        height, width = source_size
        raise InputError(
            f"face at {left:.0f},{top:.0f},{right:.0f},{bottom:.0f}",
            f"it lies on the border of the {width}x{height} picture, no square around it fits",
            "Choose the crop whole, or give a box",
        )
    return Crop(box, source_size, size)
