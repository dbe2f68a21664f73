"""Driving mode hints: the frames in colour, and their eyes and mouth, each for a ControlNet (X-Portrait)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..face_patches import BestFrame, align, alignment, choose_best_frame, keep_patches, moved, patch_boxes
from ..landmarks import hold_landmarks, to_68
from .mode import ClipFaces, DrivingMode, PlanOptions

FACE, PATCHES = "face_control", "patch_control"
"""Names of the pictures: those of the ControlNets that see them."""


@dataclass(frozen=True)
class HintPlan:
    """Clip-wide plan of the hints.

    Attributes:
        affine: float64 (2, 3), lays every square over the portrait's; None leaves them in place.
        best_frame: the frame that decided it.
        boxes: int64 (frames, 3, 4), eyes and mouth of every aligned square: left, top, right, bottom. No rows
            of boxes, (frames, 0, 4), where no frame shows a face: then only the whole frames drive.
    """

    affine: NDArray[np.float64] | None
    best_frame: int | None
    boxes: NDArray[np.int64]

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Hints of frame ``index`` by ControlNet, float32 (S, S, 3) in [-1, 1].

        Args:
            index: of the frame.
            square: float32 (S, S, 3), 0..255.
        """
        aligned = align(square / np.float32(255), self.affine)
        patches = keep_patches(aligned, self.boxes[index])
        return {FACE: aligned * 2 - 1, PATCHES: patches * 2 - 1}


def plan_hints(
    portrait_landmarks: NDArray[np.floating] | None,
    driving_landmarks: list[NDArray[np.floating] | None],
    size: int,
    best_frame: BestFrame = "auto",
    subject: str = "driving video",
) -> tuple[HintPlan, str]:
    """Alignment of the clip and patches of every frame.

    A frame without a face keeps the patches of the last one with a face, at the beginning of the first.

    Args:
        portrait_landmarks: (68 or 478, 2) in pixels of the square portrait, None where no face was seen.
        driving_landmarks: (68, 2) in pixels of the squares, None where no face was seen.
        size: side of the squares in pixels.
        best_frame: see ``BestFrame``.
        subject: name of the clip in error messages.

    Returns:
        The plan, and a line for the user, which is empty where everything was found.

    Raises:
        InputError: see ``choose_best_frame``.
    """
    target = None if portrait_landmarks is None else to_68(portrait_landmarks)
    best = choose_best_frame(best_frame, target, driving_landmarks, subject)
    affine = None
    if best is not None and target is not None:
        source = driving_landmarks[best]
        assert source is not None
        affine = alignment(source, target)
    held = hold_landmarks(driving_landmarks)
    if held is None:
        boxes = np.empty((len(driving_landmarks), 0, 4), np.int64)
    else:
        boxes = np.stack([patch_boxes(points, size) for points in moved(held, affine)])
    notes = []
    if held is None:
        notes.append("no landmarks were found in the driver: the whole frames drive alone")
    elif affine is None and best_frame != "off":
        notes.append("no landmarks were found in the portrait: the driver is not aligned with it")
    return HintPlan(affine, best, boxes), "; ".join(notes)


def _plan(faces: ClipFaces, options: PlanOptions) -> tuple[HintPlan, str]:
    return plan_hints(faces.target, list(faces.landmarks), faces.size, options.best_frame, faces.subject)


HINTS = DrivingMode(
    name="hints",
    description="all of it and its eyes and mouth",
    landmarks="coarse",
    needs_face=False,
    pictures=(FACE, PATCHES),
    plan=_plan,
    options=("best_frame",),
)
