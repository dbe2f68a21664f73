"""Masks, numbers and pictures of shards."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_shards import encode, puppet_sample, write_puppet_shards, write_samples

from megactor_core.dataset.inspect import shard_sheet
from megactor_core.dataset.parts import pack_masks, read_masks
from megactor_core.dataset.settings import BackgroundSettings
from megactor_core.dataset.shards import BrokenSample, open_shard
from megactor_core.dataset.stats import collect_stats, head_angles, plot_stats
from megactor_core.dataset.steps.background import BackgroundMasks
from megactor_core.errors import InputError
from megactor_core.puppets.clips import render_motion, sample_clip
from megactor_core.vision.coarse_landmarks import FIVE_POINTS, MEAN_FACE


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_puppet_shards(tmp_path_factory.mktemp("shards"), clips=3, shards=1, frames=12, size=128)


def test_masks_show_the_person_in_frames_of_all_the_clip(tmp_path: Path, shards: Path) -> None:
    clip = open_shard(shards / "00000.tar").entries[0]
    kept = BackgroundMasks(BackgroundSettings(masks=3))(clip)
    out = open_shard(write_samples(tmp_path / "out.tar", {"a": kept.sample})).entries[0]
    masks = read_masks(out)
    assert list(masks) == [0, 6, 11]
    puppet = sample_clip(7, 0, 12)
    truth = render_motion(puppet.identity, puppet.motion, 128)[1]
    for number, mask in masks.items():
        assert mask.shape == (128, 128)
        agreement = ((mask > 0.5) == (truth[number] > 0.5)).mean()
        assert agreement > 0.85, (number, agreement)


def test_masks_survive_their_packing() -> None:
    masks = np.random.default_rng(0).integers(0, 256, (4, 6, 9)) / np.float32(255)
    packed = pack_masks([2, 5, 7, 8], masks.astype(np.float32))
    assert packed.startswith(b"\x89PNG")


def test_masks_that_cannot_be_read_are_a_broken_sample(tmp_path: Path) -> None:
    picture = cv2.imencode(".png", np.zeros((6, 6), np.uint8))[1].tobytes()
    for data in (b"no picture", picture):
        path = write_samples(tmp_path / "a.tar", {"a": {"background.png": data}})
        with pytest.raises(BrokenSample, match=r"background\.png cannot be read"):
            read_masks(open_shard(path).entries[0])


def test_stats_count_clips_hours_persons_sizes_and_parts(tmp_path: Path, shards: Path) -> None:
    facts = {"identity": "anna", "frames": 3600, "frame_rate": 1, "size": [480, 640]}
    gaze = {"yaw": [10, 20], "pitch": [0, 5]}
    sample = {"mp4": b"", "json": json.dumps(facts).encode(), "gaze.json": json.dumps(gaze).encode()}
    write_samples(tmp_path / "00000.tar", {"a": sample, "b": sample, "c": {"mp4": b""}})
    (tmp_path / "00001.tar").write_bytes(b"no tar")
    stats = collect_stats([tmp_path])
    numbers = stats.numbers
    assert (numbers["clips"], numbers["hours"], numbers["identities"]) == (3, 2.0, 2)
    assert numbers["clips_per_identity"] == {"anna": 2, "c": 1}
    assert numbers["resolutions"] == {"640x480": 2}
    assert numbers["parts"] == {"mp4": 3, "gaze.json": 2}
    assert (numbers["damaged_shards"], numbers["clips_without_facts"]) == (1, 1)
    assert numbers["angles"]["gaze yaw"] == {"mean": 15.0, "deviation": 5.0}
    broken = {"mp4": b"", "json": b"no json"}
    write_samples(tmp_path / "00002.tar", {"d": broken, "e": {"json": json.dumps(facts).encode()}})
    assert collect_stats([tmp_path]).numbers == {**numbers, "broken_samples": 2}
    assert set(collect_stats([shards]).angles) == {"head yaw", "head pitch", "head roll"}
    pytest.importorskip("matplotlib")
    assert plot_stats(stats).startswith(b"\x89PNG")


@pytest.mark.parametrize("turn", [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 15, 0), (0, -15, 0), (0, 0, 20)])
def test_head_angles_are_those_of_the_head(turn: tuple[float, float, float]) -> None:
    yaw, pitch, roll = np.radians(turn)
    anchors = np.stack([MEAN_FACE[list(group)].mean(axis=0) for group in FIVE_POINTS])
    anchors[:, 2] *= -1  # the camera's way
    matrices = [
        [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]],
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]],
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]],
    ]
    for matrix in matrices:
        anchors = anchors @ np.array(matrix).T
    anchors += (0, 0, 60)
    points = 512 * anchors[:, :2] / anchors[:, 2:] + 256
    np.testing.assert_allclose(head_angles(points, (512, 512)), turn, atol=0.5)


def test_a_sheet_shows_every_version(shards: Path, tmp_path: Path) -> None:
    sheet, lines = shard_sheet(shards / "00000.tar", clips=2)
    assert sheet.shape == (4 * 164 - 4, 8 * 164 - 4, 3)
    assert lines == [
        "clip000: mp4, faces.json, json, swapped.mp4; no sound",
        "clip001: mp4, faces.json, json, swapped.mp4; no sound",
    ]
    sample = puppet_sample(0, frames=5, size=64)
    write_samples(tmp_path / "a.tar", {"short": sample, "broken": {"mp4": b"x"}})
    sheet, lines = shard_sheet(tmp_path / "a.tar", clips=4)
    assert sheet.shape[0] == 2 * 164 - 4
    assert lines[1] == "broken: the clip cannot be decoded"


def test_a_shard_without_a_clip_to_show_says_why(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.tar", {"broken": {"mp4": b"x"}})
    with pytest.raises(InputError, match="broken: the clip cannot be decoded"):
        shard_sheet(path, clips=2)
    with pytest.raises(InputError, match="none of clips 5 to 6 can be shown"):
        shard_sheet(path, clips=2, first=5)


def test_a_clip_shorter_than_a_row_fills_it(tmp_path: Path) -> None:
    images = [np.full((32, 32, 3), 100, np.uint8)] * 3
    path = write_samples(tmp_path / "a.tar", {"a": {"mp4": encode(images)}})
    assert shard_sheet(path, clips=1)[0].shape == (160, 8 * 164 - 4, 3)
