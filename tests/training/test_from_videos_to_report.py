"""From a folder of videos to a trained model and what it is worth, with the commands that a user types."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, TWO_PROCESSES, finish, kill_after_a_checkpoint, run, train
from tiny_stylist import write_tiny_stylist

from megactor_core.dataset.clip_list import list_clips
from megactor_core.media.reading import open_driving
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import render_motion, sample_clip

pytest.importorskip("accelerate")
pytest.importorskip("webdataset")

SIZE, FRAMES = 32, 16
# Rendered faces are small in their squares, and the detector was not made for them.
LENIENT = ("--maximum-lost", 1, "--minimum-face-ratio", 0.02, "--maximum-jump", 9)


@pytest.fixture
def detector() -> str:
    path = os.environ.get("MEGACTOR_YUNET")
    if path is None:
        pytest.skip("MEGACTOR_YUNET, the path of the YuNet file, is not given")
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Rendered clips of three people."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for index in (3, 4, 6):
        clip = sample_clip(7, index, FRAMES)
        with VideoWriter(folder / f"{index}.mp4", 192, 192, Fraction(25)) as writer:
            for image in render_motion(clip.identity, clip.motion, 192)[0]:
                writer.write(image)
    return folder


def add_real_clips(folder: Path) -> None:
    """The beginnings of the clips in the folder that MEGACTOR_CLIPS names, if it does."""
    for path in sorted(Path(os.environ.get("MEGACTOR_CLIPS", folder / "none")).glob("*.mp4")):
        source = open_driving(path).part(0, FRAMES)
        with VideoWriter(folder / path.name, source.width, source.height, source.frame_rate) as writer:
            for _, _, image in source.frames():
                writer.write(image)


def make_shards(videos: Path, folder: Path, detector: str, stylist: Path, *where: object) -> Path:
    """Every step in turn; returns the last folder."""
    source = videos
    for step, options in {
        "pack": ("--frame-rate", 25, "--clips-per-shard", 2, "--minimum-seconds", 0.2),
        "faces": ("--face-detector", detector, *LENIENT, "--minimum-frames", 10),
        "background": ("--masks", 2),
        "swap": (),
        "stylise": ("--model", stylist, "--num-inference-steps", 2, "--size", 64, "--device", "cpu"),
        "gaze": ("--minimum-variance", 0, "--interval", 2),
    }.items():
        target = folder / step
        run("dataset", step, "--input", source, "--output", target, *options, *where)
        source = target
    return source


def parts(folder: Path) -> dict[str, Any]:
    """What came of every step, without the places of the files."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {name: manifest[name] for name in ("in", "out", "rejected", "history", "shards")}


def test_from_videos_to_a_report(
    videos: Path, detector: str, denoiser_data: dict[str, Any], write_yaml: Any, tmp_path: Path
) -> None:
    add_real_clips(videos)
    stylist = write_tiny_stylist(tmp_path / "stylist")
    shards = make_shards(videos, tmp_path / "cores", detector, stylist, "--workers", 2)
    run("dataset", "stats", "--input", shards, "--output", tmp_path / "stats.json")
    fullest, sheet = max(shards.glob("*.tar"), key=lambda path: path.stat().st_size), tmp_path / "sheet.png"
    run("dataset", "inspect", "--input", fullest, "--output", sheet)
    assert json.loads((tmp_path / "stats.json").read_text())["clips"] == parts(shards)["out"] >= 3

    data = {
        "name": "shards",
        "shards": str(shards),
        "size": SIZE,
        "references": 2,
        "frames": 4,
        "swap_rate": 0.5,
        "warp_rate": 0.25,
        "minimum_face_ratio": 0.02,
        "held_out": 0.01,
    }
    task = {**denoiser_data["task"], "data": data, "auxiliary_weight": 0.0}
    first = write_yaml({**denoiser_data, "steps": 16, "device": "cpu", "task": task}, "first.yaml")
    kill_after_a_checkpoint(train(first, tmp_path / "first"), tmp_path / "first")
    model = finish(train(first, tmp_path / "first"), tmp_path / "first")

    later = {key: value for key, value in task.items() if key != "model"}
    later |= {"initial_weights": str(model), "motion_modules": True, "trainable": ["motion_module"]}
    second = write_yaml({**denoiser_data, "steps": 2, "device": "cpu", "task": later}, "second.yaml")
    model = finish(train(second, tmp_path / "second", *TWO_PROCESSES), tmp_path / "second")

    video = tmp_path / "result.mp4"
    driving = videos / "3.mp4"
    reference = ROOT / "examples" / "portrait.png"
    use = ("--model", model, "--crop", "whole", "--size", 64, "--steps", 2, "--device", "cpu")
    run("animate", "--reference", reference, "--driving", driving, "--output", video, *use)
    assert open_driving(video).num_frames == open_driving(driving).num_frames
    report = tmp_path / "report"
    run("evaluate", "self", "--data", shards, "--output", report, "--frames", 4, "--clips", 2, *use)
    assert "<html" in (report / "report.html").read_text()
    assert len(json.loads((report / "report.json").read_text())["clips"]) == 2
    unseen = tmp_path / "unseen"
    run("evaluate", "self", "--data", shards, "--output", unseen, "--frames", 4, "--held-out", 0.01, *use)
    animated = {
        clip["driver"].split("/")[-1] for clip in json.loads((unseen / "report.json").read_text())["clips"]
    }
    assert animated == {entry.key for entry in list_clips([shards], 0.01, "held-out")}


def test_ray_makes_the_same_shards(videos: Path, detector: str, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    stylist = write_tiny_stylist(tmp_path / "stylist")
    alone = make_shards(videos, tmp_path / "alone", detector, stylist)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        spread = make_shards(videos, tmp_path / "spread", detector, stylist, "--ray", "auto")
    finally:
        ray.shutdown()
    assert parts(spread) == parts(alone)
    for shard in alone.glob("*.tar"):
        assert (spread / shard.name).read_bytes() == shard.read_bytes()
