"""What ``faces.json`` tells of a clip's face, as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..vision.coarse_landmarks import FIVE_POINTS, coarse_landmarks
from .shards import FACES, BrokenSample, Entry


def face_boxes(clip: Entry) -> NDArray[np.float32]:
    """Left, top, right, bottom of the face in every frame, (F, 4) in pixels.

    Raises:
        BrokenSample: the clip has no such part.
    """
    return _array(clip, "boxes", (4,))


def face_landmarks(clip: Entry) -> NDArray[np.float32]:
    """68 landmarks in every frame, (F, 68, 2) in pixels; a mean face where only five points are known.

    Raises:
        BrokenSample: the clip has no such part, or neither landmarks nor points.
    """
    faces = clip.read_json(FACES)
    if faces.get("landmarks") is not None:
        return _array(clip, "landmarks", (68, 2))
    return np.stack([coarse_landmarks(points) for points in five_points(clip)])


def five_points(clip: Entry) -> NDArray[np.float32]:
    """Eyes, tip of the nose and corners of the mouth in every frame, (F, 5, 2); frames without repeat others.

    Raises:
        BrokenSample: see ``face_landmarks``.
    """
    faces = clip.read_json(FACES)
    if faces.get("landmarks") is not None:
        landmarks = _array(clip, "landmarks", (68, 2))
        return np.stack([landmarks[:, list(group)].mean(axis=1) for group in FIVE_POINTS], axis=1)
    points = faces.get("points") or []
    seen = [index for index, row in enumerate(points) if row is not None]
    if not seen:
        raise BrokenSample(f"part {FACES} tells no points of the face")
    nearest = [min(seen, key=lambda index: abs(index - frame)) for frame in range(len(points))]
    return np.array([points[index] for index in nearest], np.float32)


def _array(clip: Entry, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        return np.asarray(clip.read_json(FACES)[name], np.float32).reshape(-1, *shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSample(f"part {FACES} lacks {name}") from error
