"""Alignment and patches of a driver's face, eyes and mouth: one alignment per clip (X-Portrait)."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

BestFrame = Literal["auto", "off"] | int
"""The driving frame whose face is laid over the portrait's: the one most like it, none, or an index."""

LANDMARK_SIZE = 256
"""X-Portrait looks for landmarks in a copy of this size and rounds positions to its pixels."""

# Left eye, right eye, mouth; the public code leaves out the first point of each group.
_PATCHES = (slice(43, 48), slice(37, 42), slice(49, 68))
_PATCH_SIDE = LANDMARK_SIZE // 4


def choose_best_frame(
    choice: BestFrame,
    portrait_landmarks: NDArray[np.floating] | None,
    driving_landmarks: list[NDArray[np.floating] | None],
    subject: str = "driving video",
) -> int | None:
    """The frame to align the clip by, or None to leave it where it is.

    Args:
        choice: see ``BestFrame``; ``"auto"`` takes the smallest sum of absolute differences, so that position
            and size count as well as expression.
        portrait_landmarks: (68, 2) in pixels of the square portrait, None where it shows no face.
        driving_landmarks: the same per driving frame; frames without a face are never chosen.
        subject: name of the clip in error messages.

    Raises:
        InputError: an index outside the clip, or of a frame without a face.
    """
    if choice == "off":
        return None
    if isinstance(choice, int):
        if not 0 <= choice < len(driving_landmarks):
            raise InputError(
                f"best frame {choice}",
                f"{subject} has frames 0 to {len(driving_landmarks) - 1}",
                "Choose one of these, auto or off",
            )
        if driving_landmarks[choice] is None:
            raise InputError(
                f"best frame {choice}", "shows no face", "Choose a frame that shows the face, auto or off"
            )
        return choice if portrait_landmarks is not None else None
    if portrait_landmarks is None:
        return None
    distances = {
        index: float(np.abs(np.subtract(points, portrait_landmarks, dtype=np.float64)).sum())
        for index, points in enumerate(driving_landmarks)
        if points is not None
    }
    return min(distances, key=distances.__getitem__) if distances else None


def alignment(driving_landmarks: ArrayLike, portrait_landmarks: ArrayLike) -> NDArray[np.float64]:
    """Scale and shift per axis that lay one face's box over another's, without rotation.

    The box is the landmarks' mean, half their extent to each side.

    Args:
        driving_landmarks, portrait_landmarks: (68, 2) in pixels of squares of one size.

    Returns:
        float64 (2, 3), maps positions in the driver's square to the portrait's.
    """
    (from_center, from_half), (to_center, to_half) = map(_box, (driving_landmarks, portrait_landmarks))
    scale = to_half / from_half
    return np.column_stack([np.diag(scale), to_center - scale * from_center])


def _box(landmarks: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.asarray(landmarks, np.float64)
    # An outline seen in profile may be a line; half a pixel keeps the scale finite.
    return points.mean(axis=0), np.maximum(np.ptp(points, axis=0) / 2, 0.5)


def moved(landmarks: NDArray[np.floating], affine: NDArray[np.float64] | None) -> NDArray[np.floating]:
    """Landmarks (..., 2) where an alignment puts them."""
    return landmarks if affine is None else landmarks @ affine[:, :2].T + affine[:, 2]


def align(picture: NDArray[np.float32], affine: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """A square picture (S, S, 3) laid over the portrait; what it does not cover is black."""
    if affine is None:
        return picture
    # OpenCV 5 rounds sample positions of float32 pictures, not of float64 ones.
    warped = cv2.warpAffine(picture.astype(np.float64), affine, picture.shape[1::-1])
    return np.asarray(warped, np.float32)


def patch_boxes(landmarks: ArrayLike, size: int) -> NDArray[np.int64]:
    """Squares of a quarter of the picture around the left eye, the right eye and the mouth.

    Args:
        landmarks: (68, 2) in pixels of a square of ``size``.
        size: side of the picture in pixels.

    Returns:
        int64 (3, 4): left, top, right, bottom, inside the picture.
    """
    scale = size / LANDMARK_SIZE
    points = np.asarray(landmarks, np.float64) / scale
    centers = np.round(np.stack([points[patch].mean(axis=0) for patch in _PATCHES]))
    half = _PATCH_SIDE // 2
    centers = (np.clip(centers, half, LANDMARK_SIZE - 1 - half) * scale).astype(np.int64)
    reach = int(half * scale)
    return np.concatenate([centers - reach, centers + reach], axis=1)


def keep_patches(picture: NDArray[np.float32], boxes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Picture that is black outside the boxes; without boxes all black."""
    kept = np.zeros_like(picture)
    for left, top, right, bottom in boxes.tolist():
        kept[top:bottom, left:right] = picture[top:bottom, left:right]
    return kept
