"""BOUNDING_BOX and FACE_LANDMARKS as the host's nodes give them."""

from __future__ import annotations

from typing import Any

import numpy as np

Box = tuple[float, float, float, float]


def bounding_box(box: Box, **more: Any) -> dict[str, Any]:
    left, top, right, bottom = box
    return {"x": left, "y": top, "width": right - left, "height": bottom - top, **more}


def landmarks(box: Box) -> np.ndarray:
    """478 points all over a box."""
    left, top, right, bottom = box
    points = np.random.default_rng(0).random((478, 2))
    points[:2] = (0, 0), (1, 1)
    return (points * (right - left, bottom - top) + (left, top)).astype(np.float32)


def face_landmarks(frames: list[list[Box]], image_size: tuple[int, int]) -> dict[str, Any]:
    """What Detect Face Landmarks gives for faces at these boxes."""
    faces = [
        [
            {"bbox_xyxy": np.array(box, np.float32), "landmarks_xy": landmarks(box), "score": 0.9}
            for box in boxes
        ]
        for boxes in frames
    ]
    return {"frames": faces, "image_size": image_size, "connection_sets": {}}
