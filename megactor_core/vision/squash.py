"""Squash a picture to a square, whatever its shape, as X-Portrait's networks were trained to see it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_TRUNCATE = 4.0
"""Standard deviations after which the blurring kernel ends."""


def squash(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Resize to a square without keeping the aspect; see ``resampled``.

    Args:
        image: RGB (H, W, 3) or more channels, of which the first three count.
        size: side of the square in pixels.

    Returns:
        float32 (size, size, 3), 0..1.
    """
    return resampled(image[..., :3].astype(np.float32) / np.float32(255), size)


def resampled(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize (H, W) or (H, W, C) to a square in any range.

    An axis that shrinks is blurred first by a Gaussian of (factor - 1) / 2 pixels; then bilinear with
    half-pixel centres, mirrored at the border: the numbers of scikit-image's ``resize``.
    """
    pixels = image
    kernels = [_blur_kernel(length / size) for length in image.shape[:2]]
    if any(len(kernel) > 1 for kernel in kernels):
        rows, columns = kernels
        blurred = cv2.sepFilter2D(pixels, cv2.CV_32F, columns, rows, borderType=cv2.BORDER_REFLECT_101)
        pixels = np.asarray(blurred, np.float32)
    for axis in range(2):
        below, above, weight = _neighbours(pixels.shape[axis], size)
        weight = weight.reshape([-1 if i == axis else 1 for i in range(image.ndim)])
        pixels = pixels.take(below, axis) * (1 - weight) + pixels.take(above, axis) * weight
    return np.asarray(pixels, np.float32)


def _blur_kernel(factor: float) -> NDArray[np.float64]:
    sigma = max(0.0, (factor - 1) / 2)
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def _neighbours(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    positions = (np.arange(size) + 0.5) * length / size - 0.5
    below = np.floor(positions).astype(np.int64)
    return _mirrored(below, length), _mirrored(below + 1, length), (positions - below).astype(np.float32)


def _mirrored(indices: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    inside = np.abs(indices)
    inside = np.where(inside >= length, 2 * (length - 1) - inside, inside)
    return np.maximum(inside, 0)  # a picture of a single pixel mirrors into itself
