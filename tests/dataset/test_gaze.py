"""The step that keeps clips in which the eyes move."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clip_shards import encode, faces_json, write_samples

from megactor_core.dataset.settings import GazeSettings, Rejected
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.dataset.steps.gaze import GazeFilter, iris_angles, pupil_angles, smoothed_variance
from megactor_core.puppets.clips import render_motion, sample_clip
from megactor_core.puppets.motion import MOTION_NAMES, NEUTRAL_MOTION

FRAMES = 40
GAZE_X, GAZE_Y = MOTION_NAMES.index("gaze_x"), MOTION_NAMES.index("gaze_y")


def looking(gaze: np.ndarray, index: int = 0, size: int = 192) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, face boxes and landmarks of a calm puppet with this gaze, (F, 2)."""
    motion = np.tile(NEUTRAL_MOTION, (len(gaze), 1))
    motion[:, [GAZE_X, GAZE_Y]] = gaze
    images, _, boxes, landmarks = render_motion(sample_clip(5, index, 1).identity, motion, size)
    return images, boxes, landmarks


def clip_of(folder: Path, gaze: np.ndarray) -> Entry:
    images, boxes, landmarks = looking(gaze)
    sample = {"mp4": encode(list(images)), "faces.json": faces_json(boxes, landmarks), "sources": b"kept"}
    return open_shard(write_samples(folder / "00000.tar", {"clip": sample})).entries[0]


def mesh(iris: tuple[float, float], opening: float = 8.0) -> np.ndarray:
    """MediaPipe's points with both irises moved by (x, y) pixels in eyes of 30 pixels."""
    landmarks = np.zeros((478, 2), np.float32)
    for x, left, right, upper, lower, center in (
        (100, 33, 133, 159, 145, 468),
        (200, 362, 263, 386, 374, 473),
    ):
        landmarks[[left, right, upper, lower]] = [
            (x - 15, 50), (x + 15, 50), (x, 50 - opening / 2), (x, 50 + opening / 2)
        ]  # fmt: skip
        landmarks[center] = (x + iris[0], 50 + iris[1])
    return landmarks


def test_clips_with_moving_eyes_are_kept_with_their_angles(tmp_path: Path) -> None:
    gaze = np.zeros((FRAMES, 2))
    gaze[:, 0] = np.where(np.arange(FRAMES) // 10 % 2, 1, -1)
    kept = GazeFilter(GazeSettings(minimum_variance=50, interval=5))(clip_of(tmp_path, gaze))
    assert kept.sample["sources"] == b"kept"
    found = json.loads(kept.sample["gaze.json"])
    assert found["frames"] == list(range(0, FRAMES, 5)) and found["variance"] > 50
    assert np.corrcoef(found["yaw"], gaze[::5, 0])[0, 1] > 0.95


def test_clips_with_calm_eyes_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="eyes hardly move") as rejected:
        GazeFilter(GazeSettings(minimum_variance=50, interval=5))(clip_of(tmp_path, np.zeros((FRAMES, 2))))
    assert rejected.value.detail.startswith("variance ")


@pytest.mark.parametrize("index", range(3))
def test_pupils_follow_a_puppets_gaze(index: int) -> None:
    steps = np.linspace(-1, 1, 9)
    for axis in (0, 1):
        gaze = np.zeros((9, 2))
        gaze[:, axis] = steps
        images, _, landmarks = looking(gaze, index)
        angles = [pupil_angles(image, points) for image, points in zip(images, landmarks, strict=True)]
        assert None not in angles
        assert np.corrcoef(np.array(angles, float)[:, axis], steps)[0, 1] > 0.8


def test_irises_give_angles_in_degrees() -> None:
    assert iris_angles(mesh((0, 0))) == pytest.approx((0, 0), abs=1e-4)
    assert iris_angles(mesh((6, 0))) == pytest.approx((30, 0), abs=0.01)
    assert iris_angles(mesh((0, -6))) == pytest.approx((0, -30), abs=0.01)
    assert iris_angles(mesh((6, 0), opening=2)) is None
    assert iris_angles(None) is None


def test_the_variance_is_taken_after_a_maximum_filter_of_three() -> None:
    angles = np.array([0, 0, 30, 0, 0, 0], float)
    assert smoothed_variance(angles) == pytest.approx(np.var([0, 30, 30, 30, 0, 0]))


def test_every_tenth_frame_up_to_32_is_read(tmp_path: Path) -> None:
    read: list[int] = []

    def landmarker(image: np.ndarray) -> np.ndarray:
        read.append(round((float(image.mean()) - 20) / 0.5))
        return mesh((10 * (-1) ** (len(read) // 3), 0))

    images = [np.full((16, 16, 3), round(20 + number / 2), np.uint8) for number in range(400)]
    path = write_samples(tmp_path / "00000.tar", {"clip": {"mp4": encode(images)}})
    kept = GazeFilter(GazeSettings(), landmarker)(open_shard(path).entries[0])
    assert json.loads(kept.sample["gaze.json"])["frames"] == list(range(0, 320, 10))
    assert np.abs(np.array(read) - np.arange(0, 320, 10)).max() <= 4


def test_a_clip_without_eyes_is_left_out(tmp_path: Path) -> None:
    path = write_samples(
        tmp_path / "00000.tar", {"clip": {"mp4": encode([np.zeros((32, 32, 3), np.uint8)] * 40)}}
    )
    with pytest.raises(Rejected, match="gaze unknown"):
        GazeFilter(GazeSettings(), lambda image: None)(open_shard(path).entries[0])
