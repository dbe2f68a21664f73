"""Driving modes eyes_mouth and eyes: patches that follow the face, with or without the mouth (Sigma)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..landmarks import hold_landmarks
from .mode import GREY, ClipFaces, DrivingMode, PlanOptions
from .patches import Box, PatchPlan, alignment, patch_union

# Of landmarks: an eye goes with its brow.
REGIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "eyes": ((*range(22, 27), *range(42, 48)), (*range(17, 22), *range(36, 42))),
    "mouth": (tuple(range(48, 68)),),
}
_REGION_SHARE = 1.5  # of the size of a region's landmarks
_REGION_DIVISOR = 12


def region_plan(
    driving_landmarks: ArrayLike,
    reference_landmarks: ArrayLike | None,
    size: int,
    *,
    shown: tuple[str, ...] = ("eyes", "mouth"),
    fixed: bool = False,
) -> PatchPlan:
    """Patches of eyes with brows and of the mouth, aligned by the first frame (MegActor-Sigma).

    Args:
        driving_landmarks: (F, 68, 2) in pixels of the driver's crop.
        reference_landmarks: (68, 2) in pixels of the reference's crop; None leaves the driver where it is.
        size: side of the crops in pixels.
        shown: parts by the names of ``REGIONS``; without the mouth the sound alone moves the lips.
        fixed: one box per region for the whole clip instead of one per frame.
    """
    landmarks = np.asarray(driving_landmarks, np.float64)
    groups = [list(group) for name in shown for group in REGIONS[name]]
    boxes: tuple[tuple[Box, ...], ...]
    if fixed:
        boxes = (
            tuple(patch_union(landmarks[:, group].mean(axis=1), size, _REGION_DIVISOR) for group in groups),
        )
    else:
        boxes = tuple(tuple(_region_box(points[group], size) for group in groups) for points in landmarks)
    affine = None if reference_landmarks is None else alignment(landmarks[0], reference_landmarks)
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


def _plan(faces: ClipFaces, options: PlanOptions, *, shown: tuple[str, ...]) -> tuple[PatchPlan, str]:
    landmarks = hold_landmarks(faces.landmarks)
    assert landmarks is not None, "the mode needs a face"
    return region_plan(landmarks, faces.target, faces.size, shown=shown, fixed=options.fixed_patches), ""


def _mode(name: str, description: str, *shown: str) -> DrivingMode:
    return DrivingMode(
        name=name,
        description=description,
        landmarks="coarse",
        needs_face=True,
        pictures=(GREY,),
        plan=partial(_plan, shown=shown),  # workers that prepare batches are sent it
        options=("fixed_patches",),
    )


EYES_MOUTH = _mode("eyes_mouth", "patches of eyes and mouth", "eyes", "mouth")
EYES = _mode("eyes", "patches of eyes alone", "eyes")
