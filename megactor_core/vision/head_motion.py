"""Head motion of the driver since the first frame, and frames in which it is scaled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# Bridge and wings of the nose, corners of the eyes: they move with the head and not with the expression.
_RIGID = [*range(27, 36), 36, 39, 42, 45]


def head_corrections(anchors: ArrayLike, amplitude: NDArray[np.floating]) -> NDArray[np.float64]:
    """Affines that take every frame's head to where it would be had it moved ``amplitude`` times as far.

    The motion since the first frame is a shift of the anchors' mean, a rotation and a growth; the shift and
    the angle are multiplied, the growth is raised to the power.

    Args:
        anchors: points that move with the head, ``(F, n, 2)`` in pixels; two corners of a box will do.
        amplitude: of every frame, ``(F,)``.

    Returns:
        float64 ``(F, 2, 3)``; the identity where the amplitude is 1.
    """
    center, arms = _plane(anchors)
    turn = _turn(arms[0], arms)
    turn = np.where(np.abs(turn) < 1e-6, 1, turn)
    wanted = np.abs(turn) ** amplitude * np.exp(1j * np.angle(turn) * amplitude)
    factor = wanted / turn
    affines = _affines(factor, center[0] + amplitude * (center - center[0]) - factor * center)
    affines[amplitude == 1] = np.eye(2, 3)
    return affines


def similarities(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Affines that turn, scale and shift points to where they are nearest to others (least squares).

    Args:
        source, target: points ``(F, n, 2)``; those of one frame stand for all.

    Returns:
        float64 ``(F, 2, 3)``.
    """
    (from_center, from_arms), (to_center, to_arms) = _plane(source), _plane(target)
    turn = _turn(from_arms, to_arms)
    return _affines(turn, to_center - turn * from_center)


def _plane(points: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Means of points ``(F, n, 2)`` as complex numbers ``(F,)``, and the points around them ``(F, n)``."""
    points = np.asarray(points, np.float64)
    plane = points[..., 0] + 1j * points[..., 1]
    center = plane.mean(axis=1)
    return center, plane - center[:, None]


def _turn(source: NDArray[np.complex128], target: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Rotation and growth that bring arms nearest to others; broadcasts over frames."""
    size = np.maximum((np.abs(source) ** 2).sum(axis=-1), 1e-9)
    return (target * source.conj()).sum(axis=-1) / size


def _affines(factor: NDArray[np.complex128], shift: NDArray[np.complex128]) -> NDArray[np.float64]:
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.asarray(rows).transpose(2, 0, 1)


def rigid_anchors(landmarks: ArrayLike) -> NDArray[np.float64]:
    """Anchors among 68 landmarks ``(F, 68, 2)``."""
    return np.asarray(landmarks, np.float64)[:, _RIGID]


def box_anchors(boxes: ArrayLike) -> NDArray[np.float64]:
    """Anchors of face boxes ``(F, 4)``: squares of their area, so that an open mouth is no nodding head."""
    boxes = np.asarray(boxes, np.float64)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))[:, None] / 2
    return np.stack([center - half, center + half], axis=1)


def moved_points(points: ArrayLike, affines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points ``(F, n, 2)`` where the affines ``(F, 2, 3)`` put them."""
    return (
        np.einsum("fij,fnj->fni", affines[:, :, :2], np.asarray(points, np.float64)) + affines[:, None, :, 2]
    )


def moved_picture(picture: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """A picture moved by an affine; beyond its border it repeats the border's pixels."""
    if np.array_equal(affine, np.eye(2, 3)):
        return picture
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, affine, size, borderMode=cv2.BORDER_REPLICATE), np.float32)
