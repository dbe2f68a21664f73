"""Driving mode plain: in grey, the face's surroundings on black (MegActor, arXiv 2405.20851, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .mode import GREY, ClipFaces, DrivingMode, PlanOptions

_MARGIN_ABOVE, _MARGIN_BELOW = 0.4, 0.1

GREY_WEIGHTS = (0.2989, 0.5870, 0.1140)
"""ITU-R BT.601 luma as torchvision rounds it."""


@dataclass(frozen=True)
class PlainPlan:
    """The face's surroundings, of every frame of a clip.

    Attributes:
        boxes: what is kept of each square, int64 (frames, 4), or None to keep all of it.
        passed: bool (frames,), frames whose whole square is kept because the face was lost; None: none.
    """

    boxes: NDArray[np.int64] | None = None
    passed: NDArray[np.bool_] | None = None

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """See ``mode.Plan``."""
        whole = self.boxes is None or (self.passed is not None and self.passed[index])
        return {GREY: plain_condition(square, None if whole or self.boxes is None else self.boxes[index])}


def keep_boxes(image: NDArray[np.float32], boxes: tuple[tuple[int, ...], ...]) -> NDArray[np.float32]:
    """Picture (H, W) or (H, W, 3) that is black outside the boxes."""
    kept = np.zeros_like(image)
    for left, top, right, bottom in boxes:
        kept[top:bottom, left:right] = image[top:bottom, left:right]
    return kept


def _grow(box: NDArray[np.float32]) -> NDArray[np.float32]:
    left, top, right, bottom = box
    missing = (bottom - top) - (right - left)
    half = abs(missing) // 2
    if missing > 0:
        left, right = left - half, right + half
    else:
        top, bottom = top - half, bottom + half
    height = bottom - top
    return np.array([left, top - _MARGIN_ABOVE * height, right, bottom + _MARGIN_BELOW * height], np.float32)


def plain_boxes(boxes: ArrayLike, size: int, found: ArrayLike | None = None) -> NDArray[np.int64]:
    """The part of each cropped driving frame that the plain mode keeps.

    Each box is grown to a square, then by 40 % of its height above and 10 % below.

    Args:
        boxes: (F, 4) face boxes in pixels of the crop.
        size: side of the crop in pixels.
        found: (F,) bool. Without it every frame's own box is used. With it, a frame without a face grows the
            grown box of the frame before once more, which is what MegActor's public code does.

    Returns:
        int64 (F, 4), inside the crop.
    """
    rows = np.atleast_2d(np.asarray(boxes, np.float32))
    has_face = np.ones(len(rows), bool) if found is None else np.asarray(found, bool)
    grown: list[NDArray[np.float32]] = []
    for row, own in zip(rows, has_face, strict=True):
        grown.append(_grow(row if own or not grown else grown[-1]))
    return np.clip(np.stack(grown), 0, size).astype(np.int64)


def plain_condition(
    crop_image: NDArray[np.float32], box: ArrayLike | None, dtype: DTypeLike = np.float32
) -> NDArray[np.float32]:
    """Grey face on black.

    Args:
        crop_image: float32 (size, size, 3), RGB 0..255, as ``Crop.apply`` gives it.
        box: left, top, right, bottom in whole pixels (a row of ``plain_boxes``); None keeps the whole crop.
        dtype: float32, or float16 for the numbers of a half-precision run.

    Returns:
        float32 (size, size), 0..255.
    """
    pixels = crop_image.astype(dtype).astype(np.float32)
    red, green, blue = np.asarray(GREY_WEIGHTS, dtype).astype(np.float32)
    # The same sum over the last axis takes ten times as long.
    grey = np.clip(pixels[..., 0] * red + pixels[..., 1] * green + pixels[..., 2] * blue, 0, 255)
    return grey if box is None else keep_boxes(grey, (tuple(np.asarray(box, int).tolist()),))


def _plan(faces: ClipFaces, options: PlanOptions) -> tuple[PlainPlan, str]:
    boxes = None if faces.boxes is None else plain_boxes(faces.boxes, faces.size)
    return PlainPlan(boxes, faces.passed), ""


PLAIN = DrivingMode(
    name="plain",
    description="the face's surroundings",
    landmarks="none",
    needs_face=False,
    pictures=(GREY,),
    plan=_plan,
)
