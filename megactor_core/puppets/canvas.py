"""A small anti-aliased canvas: filled polygons and strokes, flat or textured, in picture and person mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .identity import Color

Points = NDArray[np.float64]
Image = NDArray[np.uint8]

_SHIFT = 4


def fixed(points: Points) -> NDArray[np.int32]:
    """Pixel positions as OpenCV's fixed-point integers, four fractional bits."""
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


class Canvas:
    """Draws on ``image`` (uint8 (S, S, 3), changed in place) and, when given, on ``mask`` (uint8 (S, S)).

    Points are pixel positions (..., 2), x then y, where (0, 0) is the centre of the top left pixel.
    """

    def __init__(self, image: Image, mask: Image | None) -> None:
        self.image = image
        self.mask = mask
        self.size = image.shape[0]

    def fill(self, points: Points, color: Color) -> None:
        """Fill a polygon with one colour."""
        polygon = fixed(points)
        cv2.fillPoly(self.image, [polygon], color, cv2.LINE_AA, _SHIFT)
        if self.mask is not None:
            cv2.fillPoly(self.mask, [polygon], 255, cv2.LINE_AA, _SHIFT)

    def paint(self, points: Points, texture: Image) -> None:
        """Fill a polygon with the pixels of ``texture`` (uint8 (S, S, 3))."""
        polygon = fixed(points)
        low = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, 0, self.size)
        high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 2, 0, self.size)
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        if right <= left or bottom <= top:
            return
        inside = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(inside, [polygon - np.array((left << _SHIFT, top << _SHIFT))], 255, cv2.LINE_AA, _SHIFT)
        weight = inside.astype(np.float32)
        weight *= 1 / 255
        view = self.image[top:bottom, left:right]
        view[...] = cv2.blendLinear(
            np.ascontiguousarray(texture[top:bottom, left:right]),
            np.ascontiguousarray(view),
            weight,
            1 - weight,
        )
        if self.mask is not None:
            part = self.mask[top:bottom, left:right]
            part += np.rint((255 - part) * weight).astype(np.uint8)

    def stroke(self, points: Points, color: Color, width: float, closed: bool = False) -> None:
        """Draw a line through the points, ``width`` pixels wide (at least one)."""
        line = fixed(points)
        thickness = max(1, round(width))
        cv2.polylines(self.image, [line], closed, color, thickness, cv2.LINE_AA, _SHIFT)
        if self.mask is not None:
            cv2.polylines(self.mask, [line], closed, 255, thickness, cv2.LINE_AA, _SHIFT)
