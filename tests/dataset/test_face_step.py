"""The step that finds faces, and the clips it leaves out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_shards import encode, puppet_sample, write_samples

from megactor_core.dataset.parts import face_boxes, face_landmarks, five_points
from megactor_core.dataset.settings import FacesSettings, Rejected
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.dataset.steps.faces import FaceFinder
from megactor_core.dataset.steps.registry import check_step, open_worker
from megactor_core.errors import InputError
from megactor_core.vision.faces import Detector, Face

SIZE, FRAMES = 64, 30
Box = tuple[float, float, float, float]
STILL: list[Box | None] = [(16, 14, 48, 50)] * FRAMES


class Scripted:
    """A detector that knows the face of each frame by the frame's number."""

    def __init__(self, boxes: list[Box | None]) -> None:
        self._boxes = iter(boxes)

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        box = next(self._boxes)
        return () if box is None else (Face(box, 0.9, np.tile(np.float32(box[:2]) + 9, (5, 1))),)


def clip_of(folder: Path, levels: list[int], extra: dict[str, bytes] | None = None) -> Entry:
    images = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in levels]
    path = write_samples(folder / "00000.tar", {"clip": {"mp4": encode(images), **(extra or {})}})
    return open_shard(path).entries[0]


@pytest.fixture
def clip(tmp_path: Path) -> Entry:
    return clip_of(tmp_path, [100] * FRAMES)


def find(clip: Entry, detector: Detector, landmarker: Any = None, **changes: Any) -> Entry:
    kept = FaceFinder(FacesSettings(**changes), detector, landmarker)(clip)
    path = write_samples(clip.shard.parent / "out.tar", {clip.key: kept.sample})
    return open_shard(path).entries[0]


def test_faces_are_kept_beside_everything_else(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, [100] * FRAMES, {"sources": b"of the user"})
    moving = [(16 + number / 4, 14, 48 + number / 4, 50) for number in range(FRAMES)]
    found = find(clip, Scripted([*moving[:5], None, *moving[6:]]))
    assert found.read("sources") == b"of the user" and found.read("mp4") == clip.read("mp4")
    np.testing.assert_allclose(face_boxes(found), moving, atol=0.01)
    facts = found.read_json("faces.json")
    assert facts["found"] == [number != 5 for number in range(FRAMES)]
    assert facts["points"][5] is None and facts["size"] == [SIZE, SIZE]
    np.testing.assert_allclose(facts["luma"], 100, atol=2)
    np.testing.assert_allclose(five_points(found)[7, 0], [16 + 7 / 4 + 9, 23], atol=0.1)
    assert face_landmarks(found).shape == (FRAMES, 68, 2)


@pytest.mark.parametrize(
    ("boxes", "changes", "reason"),
    [
        ([None] * FRAMES, {}, "no face"),
        ([None, *STILL[1:]], {}, "no face in the first frame"),
        ([*STILL[:10], *[None] * 4, *STILL[14:]], {}, "face lost"),
        ([*STILL[:10], (40, 30, 60, 60), *STILL[11:]], {}, "unsteady face"),
        ([(24, 24, 40, 40)] * FRAMES, {}, "face too small"),
        ([*STILL[:-1], (25, 25, 39, 39)], {}, "face too small"),
        ([(-8, 10, 8, 40)] * FRAMES, {}, "face on the border"),
        (STILL, {"minimum_frames": FRAMES + 1}, "too few frames"),
    ],
)
def test_clips_that_are_not_fit_are_left_out(
    clip: Entry, boxes: list[Box | None], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Rejected) as rejected:
        find(clip, Scripted(boxes), **changes)
    assert rejected.value.reason == reason


def test_thresholds_can_be_changed(clip: Entry) -> None:
    find(clip, Scripted([(24, 24, 40, 40)] * FRAMES), minimum_face_ratio=0.05)
    find(clip, Scripted([*STILL[:10], *[None] * 4, *STILL[14:]]), maximum_lost=0.2)


def test_dark_frames_do_not_count(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, [1] * 8 + [100] * 22)
    small_in_the_dark: list[Box | None] = [(26, 26, 34, 34)] * 8 + STILL[8:]
    with pytest.raises(Rejected, match="too few frames"):
        find(clip, Scripted(small_in_the_dark))
    find(clip, Scripted(small_in_the_dark), minimum_frames=22)


def test_a_landmarkers_points_are_kept(clip: Entry) -> None:
    landmarks = np.random.default_rng(0).uniform(20, 44, (68, 2)).astype(np.float32)
    found = find(clip, Scripted(STILL), lambda image: landmarks)
    np.testing.assert_allclose(face_landmarks(found)[3], landmarks, atol=0.06)


def test_a_missing_detector_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="weights download face-detector"):
        check_step(FacesSettings())
    with pytest.raises(InputError, match="the face detector's file does not exist"):
        check_step(FacesSettings(face_detector=tmp_path / "none.onnx"))


def test_yunet_sees_a_puppet_where_it_is(tmp_path: Path) -> None:
    detector = os.environ.get("MEGACTOR_YUNET")
    if detector is None:
        pytest.skip("MEGACTOR_YUNET, the path of the YuNet file, is not given")
    sample = puppet_sample(3, frames=12, size=256, swapped=False)
    path = write_samples(tmp_path / "00000.tar", {"clip": sample})
    clip = open_shard(path).entries[0]
    settings = FacesSettings(face_detector=Path(detector), minimum_frames=12, minimum_face_ratio=0.05)
    kept = open_worker(settings, open_shard(path))(clip)
    out = write_samples(tmp_path / "out.tar", {"clip": kept.sample})
    found, truth = face_boxes(open_shard(out).entries[0]), face_boxes(clip)
    centers = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (found, truth)]
    assert np.abs(centers[0] - centers[1]).max() < 40
