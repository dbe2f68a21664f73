"""Masks that users give, brought to the size of their picture."""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

# Of width to height, between a mask and its picture: tools round sizes, some to multiples of 8.
_SAME_SHAPE = 0.01


def fitted_mask(
    mask: NDArray[np.float32], size_hw: tuple[int, int], path: str | os.PathLike[str] | None = None
) -> NDArray[np.float32]:
    """The mask in the size of its picture; one of the same shape in another size is scaled.

    Args:
        mask: float32 (h, w), 0..1.
        size_hw: (height, width) of the picture.
        path: of the mask's file, named in error messages.

    Returns:
        float32 (H, W), 0..1.

    Raises:
        InputError: the mask has another shape than the picture.
    """
    if mask.shape == size_hw:
        return mask
    (height, width), (rows, columns) = size_hw, mask.shape
    if abs(columns * height / (rows * width) - 1) > _SAME_SHAPE:
        remedy = "Give a mask of the picture's size, or of its shape"
        if path is None:
            raise InputError(f"mask of {columns}x{rows}", f"the picture is {width}x{height}", remedy)
        problem = f"the mask is {columns}x{rows} pixels, the picture {width}x{height}"
        raise InputError(path, problem, remedy)
    interpolation = cv2.INTER_AREA if columns > width else cv2.INTER_LINEAR
    return cv2.resize(mask, (width, height), interpolation=interpolation).astype(np.float32)
