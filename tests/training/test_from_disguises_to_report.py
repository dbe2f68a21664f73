"""From videos to X-Portrait's networks on a frozen base, and what they are worth, by the commands."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clip_shards import faces_json, write_samples
from commands import ROOT, TWO_PROCESSES, finish, kill_after_a_checkpoint, run, train
from test_xportrait_training import STAGES, settings
from test_xportrait_training import train as train_here

from megactor_core.dataset.shards import open_shard
from megactor_core.media.reading import open_driving
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import render_motion, sample_clip
from megactor_core.weights.random_model import write_random_model

pytest.importorskip("accelerate")

FRAMES, SIZE = 24, 96


@pytest.fixture
def videos(tmp_path: Path) -> dict[Path, bytes]:
    """Rendered clips of two people, and where their faces are."""
    found = {}
    (tmp_path / "videos").mkdir()
    for index in (3, 4):
        clip = sample_clip(7, index, FRAMES)
        images, _, boxes, landmarks = render_motion(clip.identity, clip.motion, SIZE)
        path = tmp_path / "videos" / f"{index}.mp4"
        with VideoWriter(path, SIZE, SIZE, Fraction(25)) as writer:
            for image in images:
                writer.write(image)
        found[path] = faces_json(boxes, landmarks)
    return found


@pytest.fixture
def shards(videos: dict[Path, bytes], tmp_path: Path) -> Path:
    """The clips with a disguised driver each."""
    clips = tmp_path / "clips"
    run(
        "dataset",
        "pack",
        "--input",
        tmp_path / "videos",
        "--output",
        clips,
        "--frame-rate",
        25,
        "--minimum-seconds",
        0.2,
    )
    (packed,) = clips.glob("*.tar")
    # the detectors of `dataset faces` were not made for drawings: these are their true faces
    faces = {path.name: found for path, found in videos.items()}
    samples = {
        entry.key: entry.sample() | {"faces.json": faces[entry.read_json("json")["source"]]}
        for entry in open_shard(packed).entries
    }
    write_samples(tmp_path / "faces" / "00000.tar", samples)
    run("dataset", "swap", "--input", tmp_path / "faces", "--output", tmp_path / "swapped")
    return tmp_path / "swapped"


def test_from_disguises_to_a_report(
    shards: Path, videos: dict[Path, bytes], write_yaml: Any, tmp_path: Path
) -> None:
    write_random_model("xportrait", tmp_path / "base")
    model = tmp_path / "start"
    start = ("--family", "xportrait", "--base", tmp_path / "base", "--dtype", "float32")
    run("weights", "start", model, *start)

    data = {"name": "shards", "shards": str(shards), "size": 64, "references": 2, "frames": 4}
    data |= {"swap_rate": 0.8, "minimum_face_ratio": 0.01, "held_out": 0.01}
    for stage in STAGES:
        wanted = settings(stage, model)
        wanted["task"]["data"] = data
        wanted["task"]["controls"].pop("self_rate", None)  # of puppets
        config, output = write_yaml(wanted, f"{stage}.yaml"), tmp_path / stage
        if stage == "a":
            undisturbed = train_here(wanted, tmp_path / "undisturbed")
            kill_after_a_checkpoint(train(config, output), output)
        launcher = TWO_PROCESSES if stage == "b" else ()
        model = finish(train(config, output, *launcher), output)
        if stage == "a":
            for file in undisturbed.glob("*.safetensors"):
                assert file.read_bytes() == (model / file.name).read_bytes(), (
                    "killed and restarted: same bits"
                )

    driving, result = next(iter(videos)), tmp_path / "result.mp4"
    reference = ROOT / "examples" / "portrait.png"
    use = ("--size", 64, "--steps", 2, "--device", "cpu")
    look = ("--reference", reference, "--driving", driving, "--crop", "whole")
    run("animate", "--model", model, *look, "--output", result, *use)
    assert open_driving(result).num_frames == FRAMES
    # elsewhere, where the base lies in another place
    shutil.move(tmp_path / "base", tmp_path / "elsewhere")
    base = ("--base", tmp_path / "elsewhere" / "denoiser.safetensors")
    run("animate", "--model", model, *base, *look, "--output", tmp_path / "again.mp4", *use)
    assert (tmp_path / "again.mp4").read_bytes() == result.read_bytes()

    shutil.move(tmp_path / "elsewhere", tmp_path / "base")
    report = tmp_path / "report.json"
    measured = ("--clips", 1, "--frames", 4, "--fit-frames", 4, "--scale-leak")
    run("evaluate", "puppets", "--model", model, *measured, *use, "--output", report)
    assert "scale_leak" in json.loads(report.read_text())
