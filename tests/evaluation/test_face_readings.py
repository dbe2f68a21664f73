"""Head pose and gaze from points that are known, and what is made of them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from megactor_core.evaluation.measures.clip import ClipMeasures, Instruments, rotation_angle
from megactor_core.evaluation.measures.face_readings import (
    CoarseReader,
    FaceReading,
    MediaPipeReader,
    iris_gaze,
    nearest_rotation,
    rotation_of_landmarks,
)
from megactor_core.vision.coarse_landmarks import FIVE_POINTS, MEAN_FACE
from megactor_core.vision.faces import Face
from megactor_core.vision.landmarks import MediaPipeLandmarker


def turned(*degrees: float) -> np.ndarray:
    return cv2.Rodrigues(np.radians(degrees))[0]


def seen(rotation: np.ndarray, scale: float = 6, shift: tuple[float, float] = (90, 80)) -> np.ndarray:
    """The mean face's 68 landmarks from far away."""
    return (MEAN_FACE @ rotation.T)[:, :2] * scale + shift


@pytest.mark.parametrize("degrees", [(0, 0, 0), (10, 0, 0), (0, 25, 0), (0, 0, -30), (12, -20, 8)])
def test_head_pose_from_68_landmarks(degrees: tuple[float, float, float]) -> None:
    assert rotation_angle(rotation_of_landmarks(seen(turned(*degrees))), turned(*degrees)) < 0.01


def test_head_pose_from_a_detectors_five_points() -> None:
    class Detector:
        def __init__(self, rotation: np.ndarray) -> None:
            points = seen(rotation)
            self.points = np.stack([points[list(group)].mean(axis=0) for group in FIVE_POINTS])

        def detect(self, image: np.ndarray) -> tuple[Face, ...]:
            return (Face((0, 0, 9, 9), points=self.points),)

    picture = np.zeros((9, 9, 3), np.uint8)
    reading = CoarseReader(Detector(turned(0, 20, 5)))(picture)
    assert reading is not None and rotation_angle(reading.rotation, turned(0, 20, 5)) < 0.01
    assert reading.blendshapes is None and reading.gaze is None


def test_scale_and_noise_are_no_rotation() -> None:
    rotation = turned(5, -15, 20)
    np.testing.assert_allclose(nearest_rotation(rotation * 7), rotation, atol=1e-12)
    noisy = nearest_rotation(rotation + np.random.default_rng(0).normal(0, 0.02, (3, 3)))
    assert rotation_angle(noisy, rotation) < 4 and np.linalg.det(noisy) == pytest.approx(1)


def eyes(offset: tuple[float, float], roll: float = 0.0) -> np.ndarray:
    """Landmarks with both irises moved off the middle, in eyeball radii; eyes are 100 pixels wide."""
    points = np.zeros((478, 2))
    for (outer, inner, iris), middle in zip(((33, 133, 468), (263, 362, 473)), (200, 400), strict=True):
        side = -50 if outer == 33 else 50
        points[outer], points[inner] = (middle + side, 300), (middle - side, 300)
        points[iris] = np.array((middle, 300)) + 40 * np.array(offset)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return points @ turn.T


def test_gaze_is_the_angle_of_the_iris_on_the_eyeball() -> None:
    np.testing.assert_allclose(iris_gaze(eyes((0, 0))), (0, 0), atol=1e-9)
    np.testing.assert_allclose(iris_gaze(eyes((0.5, 0))), (30, 0), atol=1e-9)
    np.testing.assert_allclose(iris_gaze(eyes((0, -0.5))), (0, -30), atol=1e-9)
    np.testing.assert_allclose(iris_gaze(eyes((0.5, 0), roll=0.4)), (30, 0), atol=1e-9)


class Scripted:
    """Reads a face whose state is written into the first pixel: pose, expression, gaze in grey levels."""

    reads = ("expression", "pose", "gaze")

    def __call__(self, image: np.ndarray) -> FaceReading | None:
        yaw, expression, gaze = map(float, image[0, 0])
        if yaw == 255:
            return None
        blendshapes = np.full(51, expression / 100)
        return FaceReading(turned(0, yaw, 0), blendshapes, np.array([gaze, 0.0]), eyes_open=gaze < 100)


def frames(*pixels: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((8, 8, 3), pixel, np.uint8) for pixel in pixels])


def test_errors_are_differences_to_the_driver() -> None:
    driver = frames((10, 20, 5), (20, 40, 100), (30, 40, 5), (255, 0, 0))
    output = frames((10, 30, 8), (25, 40, 8), (255, 0, 0), (10, 0, 0))
    reference = output[0]
    values = ClipMeasures(Instruments(reader=Scripted()), reference, driver, False).of(output)
    np.testing.assert_allclose(values["expression"], [10, 0, np.nan, np.nan], atol=1e-9)
    np.testing.assert_allclose(values["pose"], [0, 5, np.nan, np.nan], atol=1e-4)
    # the driver's eyes are shut in the second frame
    np.testing.assert_allclose(values["gaze"], [3, np.nan, np.nan, np.nan], atol=1e-9)
    assert values["face_rate"].tolist() == [100, 100, 0, 100]
    assert "psnr" not in values and "identity" not in values


def test_mediapipe_tells_everything_of_a_face() -> None:
    pytest.importorskip("mediapipe")
    paths = [os.environ.get(name) for name in ("MEGACTOR_FACE_LANDMARKER", "MEGACTOR_FACE_PICTURE")]
    if None in paths:
        pytest.skip("MEGACTOR_FACE_LANDMARKER and MEGACTOR_FACE_PICTURE, a portrait, are not given")
    from megactor_core.media.pictures import load_picture

    picture = load_picture(str(paths[1]))
    landmarker = MediaPipeLandmarker(Path(str(paths[0])), details=True)
    read = MediaPipeReader(landmarker)
    reading, mirrored = read(picture), read(np.ascontiguousarray(picture[:, ::-1]))
    assert read(np.zeros_like(picture)) is None
    assert reading is not None and mirrored is not None
    assert reading.blendshapes is not None and reading.blendshapes.shape == (51,)
    assert reading.gaze is not None and mirrored.gaze is not None
    assert reading.gaze[0] == pytest.approx(-mirrored.gaze[0], abs=4)
    flip = np.diag((-1.0, 1.0, 1.0))
    assert rotation_angle(reading.rotation, flip @ mirrored.rotation @ flip) < 4
