"""Landmarks over a clip and the way from 478 to 68 points."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from megactor_core.errors import InputError
from megactor_core.vision.landmarks import MEDIAPIPE_TO_68, MediaPipeLandmarker, to_68, track_landmarks


def images(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((4, 4, 3), index, np.uint8) for index in range(count)]


def landmarker_that_sees(*frames: int, points: int = 68):
    def landmarks(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        index = int(image[0, 0, 0])
        return np.full((points, 2), index, np.float32) if index in frames else None

    return landmarks


def test_table_names_68_different_points_of_the_mesh() -> None:
    assert len(set(MEDIAPIPE_TO_68)) == 68
    assert min(MEDIAPIPE_TO_68) >= 0 and max(MEDIAPIPE_TO_68) < 468


def test_68_points_stay_and_478_are_picked() -> None:
    mesh = np.random.default_rng(0).random((478, 2))
    np.testing.assert_array_equal(to_68(mesh), mesh[list(MEDIAPIPE_TO_68)])
    np.testing.assert_array_equal(to_68(mesh[:68]), mesh[:68])
    with pytest.raises(ValueError, match="68, 2"):
        to_68(mesh[:5])


@pytest.mark.parametrize("points", [68, 478])
def test_frames_without_a_face_repeat_the_last_landmarks(points: int) -> None:
    landmarks, found = track_landmarks(images(6), landmarker_that_sees(1, 4, points=points))
    assert landmarks.shape == (6, 68, 2) and landmarks.dtype == np.float32
    assert landmarks[:, 0, 0].tolist() == [1, 1, 1, 1, 4, 4]
    assert found.tolist() == [False, True, False, False, True, False]


def test_clip_without_landmarks_is_refused() -> None:
    with pytest.raises(InputError, match=r"clip\.mp4: no face landmarks were found"):
        track_landmarks(images(3), landmarker_that_sees(), subject="clip.mp4")


def test_mediapipe_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match="pip install"):
        MediaPipeLandmarker("face_landmarker.task")


def test_landmarker_file_is_checked(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    with pytest.raises(InputError, match="does not exist"):
        MediaPipeLandmarker(tmp_path / "missing.task")
    (tmp_path / "other.task").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a face landmarker"):
        MediaPipeLandmarker(tmp_path / "other.task")
