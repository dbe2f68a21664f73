"""The steps that keep valid, frontal and calm clips: at, just inside and just outside of every threshold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_shards import faces_json, write_samples

from megactor_core.dataset.face_measures import eye_nose_angles, frontal_ratio, half_sides, move_ratio
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.runner import run_step
from megactor_core.dataset.settings import FrontalSettings, MovesSettings, SampleSettings, ValidSettings
from megactor_core.dataset.shards import open_shard

SIZE = (1080, 1920)
BOX = (860.0, 440.0, 1060.0, 640.0)
"""Of 200 pixels: half the square around it is 250."""
FRAMES = 60
KEPT = ""


def judged(folder: Path, settings: SampleSettings, faces: dict[str, Any]) -> str:
    """Why the step leaves out a clip with these faces, or nothing where it keeps it."""
    sample = {"mp4": b"", "faces.json": json.dumps(faces).encode(), "sources": b"of the user"}
    write_samples(folder / "in" / "00000.tar", {"clip": sample})
    manifest = run_step(settings, folder / "in", folder / "out", Executor())
    if manifest["out"]:
        assert open_shard(folder / "out" / "00000.tar").entries[0].sample() == sample
        return KEPT
    (reason,) = manifest["rejected"]
    return reason


def faces_of(frames: int = FRAMES, **changes: Any) -> dict[str, Any]:
    """A clip of one large face, landmarks in its box."""
    landmarks = np.tile(np.linspace(BOX[:2], BOX[2:], 68), (frames, 1, 1))
    facts = json.loads(faces_json(np.tile(BOX, (frames, 1)), landmarks))
    return facts | {"size": list(SIZE), "persons": [1] * frames} | changes


def several(frames: int, of: int = FRAMES) -> list[int]:
    return [2] * frames + [1] * (of - frames)


def hidden(points: int, frames: int = FRAMES) -> list[list[float]]:
    """Scores of landmarks, so many of them just too low."""
    return [[0.299] * points + [0.3] * (68 - points)] * frames


def outside(points: int) -> list[list[list[float]]]:
    """Landmarks, so many of them left of the picture."""
    inside = np.linspace(BOX[:2], BOX[2:], 68)
    inside[:points, 0] = -1
    return [inside.tolist()] * FRAMES


def centred(side: float) -> list[list[float]]:
    """A face of this size in the middle of the picture."""
    x, y = SIZE[1] / 2, SIZE[0] / 2
    return [[x - side / 2, y - side / 2, x + side / 2, y + side / 2]] * FRAMES


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        (faces_of(59), "too few frames"),
        (faces_of(60), KEPT),
        (faces_of(persons=several(5)), KEPT),
        (faces_of(persons=several(6)), "too few valid frames: several people"),
        (faces_of(persons=[0] * 6 + [1] * 54), "too few valid frames: no face"),
        (faces_of(found=[False] * 6 + [True] * 54), "too few valid frames: no face"),
        (faces_of(scores=hidden(8)), KEPT),
        (faces_of(scores=hidden(9)), "too few valid frames: landmarks are hidden"),
        (faces_of(landmarks=outside(8)), KEPT),
        (faces_of(landmarks=outside(9)), "too few valid frames: landmarks are hidden"),
        (faces_of(boxes=centred(160.01)), KEPT),
        (faces_of(boxes=centred(160)), "too few valid frames: the face is too small"),
        (faces_of(persons=several(3), found=[True] * 54 + [False] * 6), "too few valid frames: no face"),
        ({**faces_of(), "landmarks": None}, KEPT),
    ],
)
def test_valid_clips_show_one_large_whole_face_in_nearly_all_frames(
    tmp_path: Path, faces: dict[str, Any], reason: str
) -> None:
    assert judged(tmp_path, ValidSettings(), faces) == reason


def test_the_square_around_a_face_ends_with_the_picture() -> None:
    boxes = np.array([BOX, (0, 440, 200, 640), (860, 0, 1060, 200), (860, 880, 1060, 1080)])
    # Widths 500 and 350; heights 500, 300 and 400.
    assert half_sides(boxes, SIZE).tolist() == [250, 175, 150, 200]


def test_older_shards_whose_persons_nobody_counted_are_judged_by_the_face(tmp_path: Path) -> None:
    faces = faces_of()
    del faces["persons"]
    assert judged(tmp_path, ValidSettings(), faces) == KEPT
    assert json.loads((tmp_path / "out/manifest.json").read_text())["noted"] == {
        "nobody counted the persons": 1
    }


def triangle(right: float, left: float) -> np.ndarray:
    """Five points whose eyes and nose make these angles, in degrees."""
    down = np.tan(np.radians([right, left]))
    x = 100 * down[1] / down.sum()
    return np.array([(0, 0), (100, 0), (x, x * down[0]), (20, 150), (80, 150)]) + 300


def looking(angles: list[tuple[float, float]]) -> dict[str, Any]:
    return faces_of(len(angles), landmarks=None, points=[triangle(*pair).tolist() for pair in angles])


STRAIGHT = (50.0, 50.0)


@pytest.mark.parametrize(
    ("pair", "fits"),
    [
        (STRAIGHT, True),
        ((35, 50), True),
        ((34.999, 50), False),
        ((50, 35.001), True),
        ((64, 50), True),
        ((50, 64.001), False),
        ((63.999, 35.001), True),
    ],
)
def test_a_frontal_frame_has_both_angles_in_the_range(pair: tuple[float, float], fits: bool) -> None:
    points = triangle(*pair)[None]
    np.testing.assert_allclose(eye_nose_angles(points), [pair])
    assert frontal_ratio(points) == fits


@pytest.mark.parametrize(
    ("turned", "reason"), [(0, KEPT), (5, KEPT), (6, "not frontal"), (60, "not frontal")]
)
def test_a_frontal_clip_is_so_in_more_than_nine_tenths_of_its_frames(
    tmp_path: Path, turned: int, reason: str
) -> None:
    faces = looking([(20, 70)] * turned + [STRAIGHT] * (FRAMES - turned))
    assert judged(tmp_path, FrontalSettings(), faces) == reason


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ((79.9, 0), KEPT),
        ((80, 0), "the head moves far"),
        ((0, 39.9), KEPT),
        ((0, 40), "the head moves far"),
        ((79.9, 40.1), "the head moves far"),
    ],
)
def test_a_calm_head_moves_less_than_two_fifths_of_its_size(
    tmp_path: Path, way: tuple[float, float], reason: str
) -> None:
    steps = np.linspace(0, 1, FRAMES)[:, None] * np.tile(way, 2)
    faces = faces_of(boxes=(np.array([100, 100, 300, 200]) + steps).tolist())
    assert judged(tmp_path, MovesSettings(), faces) == reason


def test_the_move_ratio_is_taken_of_the_mean_size() -> None:
    boxes = np.array([(0, 0, 100, 100), (0, 0, 300, 100)])
    assert move_ratio(boxes) == pytest.approx(100 / 200)


def test_thresholds_are_options(tmp_path: Path) -> None:
    faces = faces_of(20, boxes=[[900, 500, 1000, 600]] * 20)
    changes = {"minimum_frames": 20, "minimum_half_side": 100}
    assert judged(tmp_path, ValidSettings.model_validate(changes), faces) == KEPT
