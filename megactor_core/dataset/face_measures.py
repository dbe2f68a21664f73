"""Measures of the face in a clip: which frames are fit, how frontal it is, how far it moves.

Source: MegActor-Sigma (arXiv 2408.14975), its public data scripts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of the longer side of the face's box, from its centre: left, top, right, bottom.
_REACH = np.array([-1.25, -1.5, 1.25, 1.0])
_DIGITS = 6
"""Of angles in degrees: the rounding of computers decides nothing."""


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """What is known of the faces in a clip.

    Attributes:
        size: height and width of the picture in pixels.
        boxes: left, top, right, bottom of the face that was followed, (F, 4) in pixels.
        found: bool (F,), whether it was seen.
        persons: int (F,), how many faces were seen; None where nobody counted.
        landmarks: (F, 68, 2) in pixels; None where only five points are known.
        scores: of the landmarks, (F, 68), 0..1; None where the landmarker gives none.
    """

    size: tuple[int, int]
    boxes: NDArray[np.floating]
    found: NDArray[np.bool_]
    persons: NDArray[np.int64] | None = None
    landmarks: NDArray[np.floating] | None = None
    scores: NDArray[np.floating] | None = None


def half_sides(boxes: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Half the side of the largest square in the middle of each face's surroundings, (F,) in pixels.

    The surroundings reach 1.25 times the box's longer side to the left and right of its centre, 1.5 above and
    1.0 below, but not beyond the picture.

    Args:
        boxes: (F, 4) in pixels.
        size: height and width of the picture.
    """
    boxes = np.asarray(boxes, np.float64)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    limits = np.array([size[1], size[0]] * 2, np.float64)
    reach = np.clip(np.tile(centers, 2) + longer * _REACH, 0, limits)
    return (reach[:, 2:] - reach[:, :2]).min(axis=1) / 2


def visible_points(facts: FrameFacts, minimum_score: float) -> NDArray[np.int64]:
    """How many of the 68 landmarks lie in the picture and have such a score, (F,).

    Landmarks without scores count by their place, five points as 68 landmarks.
    """
    count = len(facts.boxes)
    if facts.landmarks is None:
        return np.full(count, 68)
    limits = (facts.size[1], facts.size[0])
    inside = ((facts.landmarks > 0) & (facts.landmarks < limits)).all(axis=-1)
    if facts.scores is not None:
        inside &= facts.scores >= minimum_score
    return np.asarray(inside.sum(axis=1))


def eye_nose_angles(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Angles at the eyes of the triangle of eyes and nose, (F, 2) in degrees, right eye first.

    Args:
        points: right eye, left eye, tip of the nose and others, (F, n, 2) in pixels.
    """
    right, left, nose = np.moveaxis(np.asarray(points, np.float64)[:, :3], 1, 0)
    angles = np.stack([_angle(left - right, nose - right), _angle(right - left, nose - left)], axis=1)
    return np.asarray(np.round(angles, _DIGITS), np.float64)


def frontal_ratio(
    points: NDArray[np.floating], minimum_angle: float = 35, maximum_angle: float = 64
) -> float:
    """Share of frames in which both angles are in a range, its ends included, 0..1.

    Args:
        points: see ``eye_nose_angles``.
        minimum_angle, maximum_angle: in degrees.
    """
    angles = eye_nose_angles(points)
    return float(((angles >= minimum_angle) & (angles <= maximum_angle)).all(axis=1).mean())


def move_ratio(boxes: NDArray[np.floating]) -> float:
    """Range of the face's centre in sizes of the face, along the axis where it is larger.

    Args:
        boxes: left, top, right, bottom, (F, 4) in pixels.
    """
    boxes = np.asarray(boxes, np.float64)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    mean_size = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0)
    return float((np.ptp(centers, axis=0) / mean_size).max())


def _angle(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    across = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return np.degrees(np.arctan2(np.abs(across), (one * other).sum(axis=1)))
