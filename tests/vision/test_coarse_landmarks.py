"""68 landmarks from five points."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.vision.coarse_landmarks import FIVE_POINTS, MEAN_FACE, CoarseLandmarker, coarse_landmarks
from megactor_core.vision.faces import Face


def turned_face(
    yaw: float, pitch: float, roll: float, scale: float, center: tuple[float, float]
) -> np.ndarray:
    """The mean face (68, 2), seen from far away."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (MEAN_FACE @ (turn_z @ turn_x @ turn_y).T)[:, :2] * scale + center


def five_points(landmarks: np.ndarray) -> np.ndarray:
    return np.stack([landmarks[list(group)].mean(axis=0) for group in FIVE_POINTS]).astype(np.float32)


class OneFace:
    def __init__(self, *faces: Face) -> None:
        self.faces = faces

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return self.faces


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, -10, 5), (-45, 15, -20)])
def test_a_turned_head_is_followed(angles: tuple[float, float, float]) -> None:
    face = turned_face(*angles, scale=9, center=(130, 90))
    np.testing.assert_allclose(coarse_landmarks(five_points(face)), face, atol=1e-3)


def test_points_that_are_off_by_a_pixel_move_eyes_and_mouth_by_little() -> None:
    face = turned_face(20, 5, 10, scale=9, center=(130, 90))
    noise = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    found = coarse_landmarks(five_points(face) + noise)
    for part in (slice(36, 42), slice(42, 48), slice(48, 68)):
        assert np.abs(found[part].mean(axis=0) - face[part].mean(axis=0)).max() < 2


def test_the_landmarker_takes_the_best_that_a_detector_tells() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    face = turned_face(0, 0, 0, scale=5, center=(100, 100))
    with_points = Face((60, 60, 140, 150), points=five_points(face))
    own = np.arange(136, dtype=np.float32).reshape(68, 2)
    found = CoarseLandmarker(OneFace(with_points))(picture)
    assert found is not None and found.shape == (68, 2)
    assert CoarseLandmarker(OneFace(Face((0, 0, 9, 9), landmarks=own)))(picture) is own
    assert CoarseLandmarker(OneFace())(picture) is None
    assert CoarseLandmarker(OneFace(Face((0, 0, 9, 9))))(picture) is None
