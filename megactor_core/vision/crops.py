"""Square crops of a picture and the way back to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .squash import resampled

# The border of a box that is so many times as large as its picture is not built to be sampled.
_WIDE = 2
_LARGEST = 4
"""Times the longer side of its picture that a box may be large."""


@dataclass(frozen=True)
class Crop:
    """A square of a picture, resized to ``size`` x ``size``, or all of it squashed to that.

    Attributes:
        box: (left, top, right, bottom) in whole pixels of the picture, right and bottom exclusive. It may
            reach over the picture's border; what lies outside repeats the border's pixels.
        source_size: (height, width) of the picture.
        size: side of the result in pixels.
        squashed: the box is the whole picture, of whatever shape, and ``apply`` resamples it as ``squash``
            does.
    """

    box: tuple[int, int, int, int]
    source_size: tuple[int, int]
    size: int
    squashed: bool = False

    @property
    def scale(self) -> NDArray[np.float32]:
        """Pixels of the result for one pixel of the picture, along x and y."""
        left, top, right, bottom = self.box
        return np.array([self.size / (right - left), self.size / (bottom - top)], np.float32)

    def apply(self, image: NDArray, antialias: bool = False) -> NDArray[np.float32]:
        """Cuts the square out of a picture of ``source_size``.

        Args:
            image: (H, W) or (H, W, C), any real dtype.
            antialias: average over the covered pixels when shrinking. Off by default, as MegActor's networks
                were trained: bilinear, half-pixel centres.

        Returns:
            float32 (size, size) or (size, size, C) in the range of ``image``, not rounded.

        Raises:
            ValueError: the picture has another size than ``source_size``.
        """
        if image.shape[:2] != self.source_size:
            raise ValueError(f"the crop is of a picture of {self.source_size}, got {image.shape[:2]}")
        if self.squashed:
            return resampled(image.astype(np.float32), self.size)
        left, top, right, bottom = self.box
        height, width = self.source_size
        if max(right - left, bottom - top) > _WIDE * max(height, width):
            return _sampled(image, self.box, self.size, antialias)
        inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        borders = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
        if any(borders):
            inside = cv2.copyMakeBorder(inside, *borders, borderType=cv2.BORDER_REPLICATE)
        pixels = np.ascontiguousarray(np.atleast_3d(inside), dtype=np.float32)
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(pixels).permute(2, 0, 1)[None],
            size=(self.size, self.size),
            mode="bilinear",
            align_corners=False,
            antialias=antialias,
        )[0].numpy()
        return np.ascontiguousarray(resized.transpose(1, 2, 0)) if image.ndim == 3 else resized[0]

    def to_crop(self, coordinates: ArrayLike) -> NDArray[np.float32]:
        """Maps positions of the picture into the crop; last axis: x, y, ... (points and boxes alike)."""
        pairs = np.asarray(coordinates, np.float32)
        origin = np.resize(np.array(self.box[:2], np.float32), pairs.shape[-1])
        return (pairs - origin) * np.resize(self.scale, pairs.shape[-1])

    def to_source(self, coordinates: ArrayLike) -> NDArray[np.float32]:
        """Maps positions of the crop back into the picture; last axis: x, y, ..."""
        pairs = np.asarray(coordinates, np.float32)
        origin = np.resize(np.array(self.box[:2], np.float32), pairs.shape[-1])
        return np.asarray(pairs / np.resize(self.scale, pairs.shape[-1]) + origin, np.float32)


def face_crop(boxes: ArrayLike, source_size: tuple[int, int], size: int) -> Crop:
    """The largest square inside the picture around the union of all face boxes of a clip.

    Args:
        boxes: (F, 4) left, top, right, bottom in pixels; one row for a single picture.
        source_size: (height, width) of the frames.
        size: side of the crop in pixels.

    Raises:
        InputError: the faces' centre lies on the picture's border, so that no square fits.

    Source: MegActor (arXiv 2405.20851), public inference code's rule: the centre is rounded down, the
    square is as large as the nearest border allows.
    """
    boxes = np.atleast_2d(np.asarray(boxes, np.float32))
    height, width = source_size
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    x, y = int((left + right) // 2), int((top + bottom) // 2)
    half = min(x, width - x, y, height - y)
    if half < 1:
        raise InputError(
            f"face at {left:.0f},{top:.0f},{right:.0f},{bottom:.0f}",
            f"it lies on the border of the {width}x{height} picture, no square around it fits",
            "Choose the crop whole, or give a box",
        )
    return Crop((x - half, y - half, x + half, y + half), source_size, size)


def whole_crop(source_size: tuple[int, int], size: int) -> Crop:
    """The largest centred square of a picture of (height, width)."""
    height, width = source_size
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Crop((left, top, left + side, top + side), source_size, size)


def squashed_crop(source_size: tuple[int, int], size: int) -> Crop:
    """The whole picture of (height, width), squashed to a square: what X-Portrait was trained on."""
    height, width = source_size
    return Crop((0, 0, width, height), source_size, size, squashed=True)


def box_crop(box: Sequence[float], source_size: tuple[int, int], size: int) -> Crop:
    """The smallest square around a given box; it may reach over the picture's border.

    Args:
        box: (left, top, right, bottom) in pixels.
        source_size: (height, width) of the picture.
        size: side of the crop in pixels.

    Raises:
        InputError: the box is empty, lies outside the picture, is far larger than it, or has a corner that
            is no number.
    """
    height, width = source_size
    subject = f"box {','.join(f'{value:.10g}' for value in box)}"
    if not np.isfinite(box).all():
        raise InputError(subject, "it has a corner that is no number", "Give left,top,right,bottom in pixels")
    left, top, right, bottom = (round(value) for value in box)
    if right <= left or bottom <= top:
        raise InputError(
            subject, "it is empty", "Give left,top,right,bottom with left < right and top < bottom"
        )
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise InputError(subject, f"it lies outside the {width}x{height} picture", "Give a box inside it")
    side = max(right - left, bottom - top)
    if side > _LARGEST * max(height, width):
        raise InputError(
            subject,
            f"it is more than {_LARGEST} times as large as the {width}x{height} picture",
            "Give a smaller box",
        )
    left, top = left - (side - (right - left)) // 2, top - (side - (bottom - top)) // 2
    return Crop((left, top, left + side, top + side), source_size, size)


def _sampled(
    image: NDArray, box: tuple[int, int, int, int], size: int, antialias: bool
) -> NDArray[np.float32]:
    """Result of ``Crop.apply`` on a picture, (H, W) or (H, W, C), without building what lies outside."""
    left, top, right, bottom = box
    rows = _weights(top, bottom, image.shape[0], size, antialias)
    columns = _weights(left, right, image.shape[1], size, antialias)
    narrow = np.tensordot(columns, image.astype(np.float32), (1, 1))
    return np.ascontiguousarray(np.tensordot(rows, narrow, (1, 1)))


def _weights(first: int, last: int, length: int, size: int, antialias: bool) -> NDArray[np.float32]:
    """Weights of an axis' pixels for each pixel of a crop, (size, length): bilinear, repeated outside.

    Args:
        first, last: of the box.
        length, size: of the picture and the crop.
        antialias: see ``Crop.apply``.
    """
    scale = (last - first) / size
    reach = max(scale, 1.0) if antialias else 1.0
    weights = np.zeros((size, length), np.float32)
    for index, center in enumerate((np.arange(size) + 0.5) * scale - 0.5):
        near = np.arange(int(np.ceil(center - reach)), int(np.floor(center + reach)) + 1)
        shares = 1 - np.abs(near - center) / reach
        places = np.clip(np.clip(near, 0, last - first - 1) + first, 0, length - 1)
        if antialias:  # what lies beyond the box does not count
            shares *= (near >= 0) & (near < last - first)
        np.add.at(weights[index], places, shares / shares.sum())
    return weights


def face_area_ratios(boxes: ArrayLike, source_size: tuple[int, int]) -> NDArray[np.float32]:
    """Share of the picture, 0..1, that each face box covers; boxes (F, 4), result (F,)."""
    boxes = np.atleast_2d(np.asarray(boxes, np.float32))
    height, width = source_size
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / np.float32(height * width)


def checked_size(size: int) -> int:
    """The side of a square that can be animated, in pixels.

    Raises:
        InputError: not a positive multiple of 8, or below 64.
    """
    if size < 64 or size % 8:
        raise InputError(
            f"size {size}", "must be a multiple of 8 and at least 64", f"use {max(64, size // 8 * 8)}"
        )
    return size
