"""Driving condition: what the denoiser sees of a driving frame, grey on black.

The clip-wide part (boxes, alignment) is computed once from small arrays; the frames are then turned into
conditions one by one. The modes and their rounding follow the public inference code of MegActor
(arXiv 2405.20851, section 3.3) and MegActor-Sigma (arXiv 2408.14975); ``float16`` repeats what that code
computes in half precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .plain import _GREY, _keep_boxes

# Points of the 68 that carry expression: right eye, left eye, mouth, brows.
_PATCHES = (slice(36, 42), slice(42, 48), slice(48, 68), slice(17, 27))
_PATCH_DIVISOR = 8

# MegActor-Sigma's regions: an eye goes with its brow.
_REGIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "eyes": ((*range(22, 27), *range(42, 48)), (*range(17, 22), *range(36, 42))),
    "mouth": (tuple(range(48, 68)),),
}
_REGION_SHARE = 1.5  # of the size of a region's landmarks
_REGION_DIVISOR = 12

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class PatchPlan:
    """What the modes that show patches need to know of the whole clip.

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


def contour_plan(driving_landmarks: ArrayLike, reference_landmarks: ArrayLike | None, size: int) -> PatchPlan:
    """Clip-wide boxes and alignment of the contour mode.

    Args:
        driving_landmarks: (F, 68, 2) in pixels of the driver's crop.
        reference_landmarks: (68, 2) in pixels of the reference's crop; None leaves the driver where it is.
        size: side of the crops in pixels.
    """
    landmarks = np.asarray(driving_landmarks, np.float64)
    boxes = tuple(_patch_union(landmarks[:, patch].mean(axis=1), size) for patch in _PATCHES)
    if reference_landmarks is None:
        return PatchPlan((boxes,), None)
    # The last frame decides, as in the public code.
    return PatchPlan((boxes,), _alignment(landmarks[-1], reference_landmarks))


def region_plan(
    driving_landmarks: ArrayLike,
    reference_landmarks: ArrayLike | None,
    size: int,
    *,
    mouth: bool = True,
    fixed: bool = False,
) -> PatchPlan:
    """Patches of eyes with brows and of the mouth, aligned by the first frame (MegActor-Sigma).

    Args:
        driving_landmarks: (F, 68, 2) in pixels of the driver's crop.
        reference_landmarks: (68, 2) in pixels of the reference's crop; None leaves the driver where it is.
        size: side of the crops in pixels.
        mouth: whether the mouth is shown; without it the sound alone moves the lips.
        fixed: one box per region for the whole clip instead of one per frame.
    """
    landmarks = np.asarray(driving_landmarks, np.float64)
    groups = [list(group) for name, parts in _REGIONS.items() if mouth or name != "mouth" for group in parts]
    boxes: tuple[tuple[Box, ...], ...]
    if fixed:
        boxes = (
            tuple(_patch_union(landmarks[:, group].mean(axis=1), size, _REGION_DIVISOR) for group in groups),
        )
    else:
        boxes = tuple(tuple(_region_box(points[group], size) for group in groups) for points in landmarks)
    affine = None if reference_landmarks is None else _alignment(landmarks[0], reference_landmarks)
    return PatchPlan(boxes, affine)


def _region_box(points: NDArray[np.float64], size: int) -> Box:
    return grown_box((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()), size, size)


def grown_box(box: tuple[float, float, float, float], height: int, width: int) -> Box:
    """A box of landmarks half as large again, cut at the border: left, top, right, bottom."""
    left, top, right, bottom = box
    half_width, half_height = _REGION_SHARE / 2 * (right - left), _REGION_SHARE / 2 * (bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    columns = np.clip([x - half_width, x + half_width], 0, width).astype(int).tolist()
    rows = np.clip([y - half_height, y + half_height], 0, height).astype(int).tolist()
    return columns[0], rows[0], columns[1], rows[1]


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
    pixels = _keep_boxes(crop_image.astype(dtype).astype(np.float32), plan.boxes_of(index))
    if plan.affine is not None:
        pixels = np.asarray(cv2.warpAffine(pixels, plan.affine, pixels.shape[1::-1]), np.float32)
    weighted = pixels.astype(dtype) * np.asarray(_GREY, dtype)
    return np.clip(weighted.sum(axis=-1, dtype=np.float32).astype(dtype), 0, 255).astype(np.float32)


def _patch_union(centers: NDArray[np.float64], size: int, divisor: int = _PATCH_DIVISOR) -> Box:
    boxes = np.array([patch_box(x, y, size, size, divisor) for x, y in centers])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return left, top, right, bottom


def _alignment(driving: NDArray[np.float64], reference: ArrayLike) -> NDArray[np.float64]:
    source, target = _corners(driving), _corners(np.asarray(reference, np.float64))
    return np.asarray(cv2.getAffineTransform(source, target), np.float64)


def _corners(points: NDArray[np.float64]) -> NDArray[np.float32]:
    (left, top), (right, bottom) = np.trunc(points.min(axis=0)), np.trunc(points.max(axis=0))
    return np.array([[left, top], [right, bottom], [left, bottom]], np.float32)
