"""Command ``dataset``: its steps one after the other, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_shards import puppet_sample, write_puppet_shards, write_samples

from megactor_core.cli.main import main
from megactor_core.dataset.settings import STEPS
from megactor_core.media.pictures import load_picture
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import render_motion, sample_clip
from megactor_core.training.config.data import ShardClipsConfig
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.data.shards import ShardClips

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dataset(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main(["dataset", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.mark.parametrize("step", [*(settings.step for settings in STEPS), "stats", "inspect"])
def test_every_step_explains_itself(dataset: Run, step: str) -> None:
    status, out, _ = dataset(step, "--help")
    assert status == 0 and "--input" in out and "--output" in out


def test_every_setting_is_an_option_with_its_default(dataset: Run) -> None:
    for settings in STEPS:
        text = " ".join(dataset(settings.step, "--help")[1].split())
        for name, field in settings.model_fields.items():
            assert f"--{name.replace('_', '-')}" in text
            assert field.default is None or f"(default: {field.default})" in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("faces", "--minimum-luma", "dark"), "--minimum-luma dark: Input should be a valid number"),
        (("pack", "--identity", "name"), "--identity name: Input should be 'file' or 'folder'"),
        (("pack", "--workers", "0"), "--workers: '0' is not a whole number from 1 to 1024"),
        (("gaze", "--minimum-variance", "-1"), "--minimum-variance -1: Input should be greater than"),
        (("swap", "--program", "a 'b"), "--program a 'b: No closing quotation"),
        (("swap",), "there is no such folder or shard"),
        (("pack",), "there is no such folder. Give a folder of videos"),
        (("swap", "--unknown", "1"), "unrecognized arguments: --unknown 1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    dataset: Run, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    step, *rest = arguments
    folders = ("--input", tmp_path / "in", "--output", tmp_path / "out")
    status, out, error = dataset(step, *folders, *rest)
    assert (status, out) == (2, "") and error.count("\n") == 1
    assert error.startswith("error: ") and problem in error
    assert not (tmp_path / "out").exists()


def test_a_step_says_what_became_of_the_clips(dataset: Run, tmp_path: Path) -> None:
    source = write_puppet_shards(tmp_path / "in", clips=2, shards=2, frames=8, swapped=False)
    (source / "00002.tar").write_bytes((source / "00000.tar").read_bytes()[:5000])
    good = puppet_sample(0, frames=8, size=96, swapped=False)
    broken = {"a": {"mp4": good["mp4"]}, "b": good | {"mp4": b"no video"}, "c": {"faces.json": b"{}"}}
    write_samples(source / "00003.tar", broken)
    status, out, _ = dataset(
        "background", "--input", source, "--output", tmp_path / "out", "--masks", 2, "--workers", 2
    )
    assert status == 0
    assert out.splitlines() == [
        f"{tmp_path / 'out'}: 6 in, 2 out",
        "  3 left out: broken sample",
        "  1 left out: damaged shard",
    ]
    reasons = {
        key: detail for key, _, detail in json.loads((tmp_path / "out/00003.json").read_text())["rejected"]
    }
    assert reasons == {
        "a": "part faces.json is missing",
        "b": "the clip cannot be decoded",
        "c": "part faces.json lacks boxes",
    }


def test_stats_and_inspect_write_what_they_are_told(dataset: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source = write_puppet_shards(tmp_path / "in", clips=2, shards=1, frames=8)
    files = ("--output", tmp_path / "stats.json", "--plots", tmp_path / "stats.png")
    assert dataset("stats", "--input", source, *files)[:2] == (0, "2 clips, 0.0002 hours, 2 persons\n")
    assert json.loads((tmp_path / "stats.json").read_text())["resolutions"] == {"96x96": 2}
    assert load_picture(tmp_path / "stats.png").shape[2] == 3
    status, _, error = dataset("stats", "--input", source, *files)
    assert status == 2 and "stats.json: exists already" in error
    sheet = ("--input", source / "00000.tar", "--output", tmp_path / "sheet.png", "--clips", 1)
    assert dataset("inspect", *sheet)[0] == 0
    assert load_picture(tmp_path / "sheet.png").shape == (2 * 164 - 4, 8 * 164 - 4, 3)
    assert dataset("inspect", *sheet)[0] == 2
    assert (
        "--clips: '0' is not a whole number from 1 to 1000"
        in dataset("inspect", *sheet, "--overwrite", "--clips", 0)[2]
    )


def test_from_videos_to_batches(dataset: Run, tmp_path: Path) -> None:
    detector = os.environ.get("MEGACTOR_YUNET")
    if detector is None:
        pytest.skip("MEGACTOR_YUNET, the path of the YuNet file, is not given")
    (tmp_path / "videos").mkdir()
    for index in (3, 4, 6):
        clip = sample_clip(7, index, 30)
        with VideoWriter(tmp_path / "videos" / f"{index}.mp4", 192, 192, Fraction(25)) as writer:
            for image in render_motion(clip.identity, clip.motion, 192)[0]:
                writer.write(image)
    lenient = ("--maximum-lost", 1, "--minimum-face-ratio", 0.02, "--maximum-jump", 9, "--minimum-frames", 10)
    steps = [
        ("pack", "--frame-rate", 25),
        ("faces", "--face-detector", detector, *lenient),
        ("background", "--masks", 2),
        ("swap",),
        ("gaze", "--minimum-variance", 0),
    ]
    source = tmp_path / "videos"
    for number, (step, *options) in enumerate(steps):
        target = tmp_path / f"{number}_{step}"
        status, _, error = dataset(step, "--input", source, "--output", target, *options)
        assert status == 0, error
        source = target
    manifest = json.loads((source / "manifest.json").read_text())
    assert [made["step"] for made in manifest["history"]] == ["pack", "faces", "background", "swap"]
    assert manifest["out"] >= 1
    config = ShardClipsConfig(
        shards=(source,), size=64, frames=8, swap_rate=1, minimum_face_ratio=0.02, held_out=0
    )
    batch = ShardClips(config, 0, SampleFormat(64, 8, 32), "train")[0]
    assert batch["targets"].shape == (1, 8, 3, 64, 64)
    assert np.asarray(batch["driving"]).max() > 60
