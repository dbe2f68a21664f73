"""Grey patches on black: what the modes that show parts of a face have in common.

The clip-wide part (boxes, alignment) is computed once from small arrays; the frames are then turned into
conditions one by one. Boxes and their rounding follow the public inference code of MegActor (arXiv
2405.20851, section 3.3) and MegActor-Sigma (arXiv 2408.14975); ``float16`` repeats what that code computes in
half precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .mode import GREY
from .plain import GREY_WEIGHTS, keep_boxes

_PATCH_DIVISOR = 8

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class PatchPlan:
    """Grey patches on black, of every frame of a clip.

    Attributes:
        boxes: of every frame, or once for all frames: the patches as (left, top, right, bottom) in whole
            pixels of the crop.
        affine: float64 (2, 3), maps the driver's crop onto the reference's, or None to leave it in place.
    """

    boxes: tuple[tuple[Box, ...], ...]
    affine: NDArray[np.float64] | None

    def boxes_of(self, index: int) -> tuple[Box, ...]:
        """Patches of a frame."""
        return self.boxes[index if len(self.boxes) > 1 else 0]

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """See ``mode.Plan``."""
        return {GREY: patch_condition(square, self, index=index)}


def patch_box(x: float, y: float, height: int, width: int, divisor: int = _PATCH_DIVISOR) -> Box:
    """Box of 2/divisor of the picture around a point, cut at the border: left, top, right, bottom."""
    left, right = np.clip([x - width / divisor, x + width / divisor], 0, width).astype(int).tolist()
    top, bottom = np.clip([y - height / divisor, y + height / divisor], 0, height).astype(int).tolist()
    return left, top, right, bottom


def patch_condition(
    crop_image: NDArray[np.float32], plan: PatchPlan, dtype: DTypeLike = np.float32, index: int = 0
) -> NDArray[np.float32]:
    """Grey patches on black, moved to where the reference has its face.

    Args:
        crop_image: float32 (size, size, 3), RGB 0..255, as ``Crop.apply`` gives it.
        plan: of this clip.
        dtype: float32, or float16 for the numbers of a half-precision run.
        index: of the frame.

    Returns:
        float32 (size, size), 0..255.
    """
    pixels = keep_boxes(crop_image.astype(dtype).astype(np.float32), plan.boxes_of(index))
    if plan.affine is not None:
        pixels = np.asarray(cv2.warpAffine(pixels, plan.affine, pixels.shape[1::-1]), np.float32)
    weighted = pixels.astype(dtype) * np.asarray(GREY_WEIGHTS, dtype)
    return np.clip(weighted.sum(axis=-1, dtype=np.float32).astype(dtype), 0, 255).astype(np.float32)


def patch_union(centers: NDArray[np.float64], size: int, divisor: int = _PATCH_DIVISOR) -> Box:
    """Smallest box that holds the ``patch_box`` of every centre ``(F, 2)``."""
    boxes = np.array([patch_box(x, y, size, size, divisor) for x, y in centers])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return left, top, right, bottom


def alignment(driving: NDArray[np.float64], reference: ArrayLike) -> NDArray[np.float64]:
    """Affine map float64 (2, 3) that lays the box around some landmarks (n, 2) over that of others."""
    source, target = _corners(driving), _corners(np.asarray(reference, np.float64))
    return np.asarray(cv2.getAffineTransform(source, target), np.float64)


def _corners(points: NDArray[np.float64]) -> NDArray[np.float32]:
    (left, top), (right, bottom) = np.trunc(points.min(axis=0)), np.trunc(points.max(axis=0))
    return np.array([[left, top], [right, bottom], [left, bottom]], np.float32)
