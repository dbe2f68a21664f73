"""Driving mode contour: patches of eyes, brows and mouth, one box for the whole clip (MegActor)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..landmarks import hold_landmarks
from .mode import GREY, ClipFaces, DrivingMode, PlanOptions
from .patches import PatchPlan, alignment, patch_union

# Points of the 68 that carry expression: right eye, left eye, mouth, brows.
_PATCHES = (slice(36, 42), slice(42, 48), slice(48, 68), slice(17, 27))


def contour_plan(driving_landmarks: ArrayLike, reference_landmarks: ArrayLike | None, size: int) -> PatchPlan:
    """Boxes and alignment of a clip.

    Args:
        driving_landmarks: (F, 68, 2) in pixels of the driver's crop.
        reference_landmarks: (68, 2) in pixels of the reference's crop; None leaves the driver where it is.
        size: side of the crops in pixels.
    """
    landmarks = np.asarray(driving_landmarks, np.float64)
    boxes = tuple(patch_union(landmarks[:, patch].mean(axis=1), size) for patch in _PATCHES)
    if reference_landmarks is None:
        return PatchPlan((boxes,), None)
    # The last frame decides, as in the public code.
    return PatchPlan((boxes,), alignment(landmarks[-1], reference_landmarks))


def _plan(faces: ClipFaces, options: PlanOptions) -> tuple[PatchPlan, str]:
    landmarks = hold_landmarks(faces.landmarks)
    assert landmarks is not None, "the mode needs a face"
    return contour_plan(landmarks, faces.target, faces.size), ""


CONTOUR = DrivingMode(
    name="contour",
    description="patches of eyes, brows and mouth, which carry less of the driver's looks",
    landmarks="exact",
    needs_face=True,
    pictures=(GREY,),
    plan=_plan,
    anchor=-1,
)
