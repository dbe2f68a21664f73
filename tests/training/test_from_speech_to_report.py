"""From videos of people who speak to a model that does, and what its lips are worth, by the commands."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_shards import faces_json, write_samples
from commands import ROOT, TWO_PROCESSES, finish, kill_after_a_checkpoint, run, train
from conftest import MODEL
from safetensors.torch import load_file

from megactor_core.dataset.shards import open_shard
from megactor_core.media.reading import open_driving
from megactor_core.media.samples import Samples
from megactor_core.media.waveform import SAMPLE_RATE
from megactor_core.media.writing import VideoWriter
from megactor_core.models.config import ModelConfig
from megactor_core.models.networks import build_networks
from megactor_core.puppets.clips import render_motion
from megactor_core.puppets.speaking import sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.weights.saving import save_model

pytest.importorskip("accelerate")

SPEECH = ROOT / "tests" / "data" / "speech.npz"
EAR = ROOT / "megactor_core" / "weights" / "mouth_reader"
FRAMES, SIZE = 64, 96
STAGES: list[dict[str, Any]] = [
    {
        "untrained": ["attn_audio", "norm_audio", "motion_module"],
        "motion_modules": False,
        "draws": [
            {"share": 0.5, "show": "eyes_mouth", "sound": "silence"},
            {"share": 0.5, "show": "eyes", "sound": "silence", "masked": ["mouth"]},
        ],
    },
    {
        "untrained": ["motion_module"],
        "motion_modules": False,
        "draws": [
            {"share": 0.6, "show": "eyes", "sound": "speech"},
            {"share": 0.2, "show": "eyes_mouth", "sound": "silence"},
            {"share": 0.2, "show": "none", "sound": "none", "reference": False},
        ],
    },
    {
        "trainable": ["motion_module"],
        "untrained": [],
        "motion_modules": True,
        "draws": [{"share": 1.0, "show": "eyes", "sound": "speech"}],
    },
]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Clips of two puppets that speak, through every step that Sigma's public data went through."""
    (tmp_path / "videos").mkdir()
    truth = {}
    for index in (1, 2):
        clip = sample_speaking_clip(3, index, FRAMES, SpeechCorpus.read(SPEECH))
        images, _, boxes, landmarks = render_motion(clip.clip.identity, clip.clip.motion, SIZE)
        truth[f"{index}.mp4"] = faces_json(boxes, landmarks)
        sound = Samples(clip.heard[None], SAMPLE_RATE)
        with VideoWriter(tmp_path / "videos" / f"{index}.mp4", SIZE, SIZE, Fraction(25), sound) as writer:
            for image in images:
                writer.write(image)
    run("dataset", "pack", "--input", tmp_path / "videos", "--output", tmp_path / "clips", "--frame-rate", 25)
    (packed,) = (tmp_path / "clips").glob("*.tar")
    entries = open_shard(packed).entries
    # the detectors of `dataset faces` were not made for drawings: these are their true faces
    found = {
        entry.key: json.loads(truth[entry.read_json("json")["source"]])
        | {"size": [SIZE, SIZE], "persons": [1] * FRAMES}
        for entry in entries
    }
    samples = {e.key: e.sample() | {"faces.json": json.dumps(found[e.key]).encode()} for e in entries}
    write_samples(tmp_path / "faces" / "00000.tar", samples)
    source = tmp_path / "faces"
    for step, options in {
        "valid": ("--minimum-half-side", 20, "--minimum-points", 0),
        "frontal": ("--minimum-angle", 1, "--minimum-ratio", 0.5),
        "moves": ("--maximum-ratio", 2),
        "sync": ("--minimum-r", 0.1, "--maximum-offset", 3),
    }.items():
        run("dataset", step, "--input", source, "--output", tmp_path / step, *options)
        source = tmp_path / step
    return source


def test_from_speech_to_a_report(
    shards: Path, denoiser_data: dict[str, Any], write_yaml: Any, tmp_path: Path
) -> None:
    base = ModelConfig.from_dict({"family": "megactor", **MODEL})
    save_model(base, build_networks(base), tmp_path / "base", torch.float32)
    model = tmp_path / "start"
    start = ("--family", "megactor-sigma", "--base", tmp_path / "base", "--audio-encoder", EAR)
    run("weights", "start", model, *start, "--dtype", "float32")

    data = {
        "name": "shards",
        "shards": str(shards),
        "size": 32,
        "references": 2,
        "frames": 4,
        "minimum_face_ratio": 0.01,
        "held_out": 0.01,
    }
    common = {name: denoiser_data["task"][name] for name in ("sample_latents", "validation")}
    models = []
    for number, stage in enumerate(STAGES):
        stage = dict(stage)
        modalities = {"draws": stage.pop("draws"), "speech_weight": 4.0}
        task = {**common, **stage, "name": "denoiser", "initial_weights": str(model), "data": data}
        task |= {"start": "noise", "modalities": modalities}
        settings = {**denoiser_data, "steps": 3, "checkpoint_interval": 1, "device": "cpu", "task": task}
        config, output = write_yaml(settings, f"{number}.yaml"), tmp_path / f"stage{number + 1}"
        launcher: tuple[str, ...] = ()
        if number == 0:
            kill_after_a_checkpoint(train(config, output), output)
        elif number == 1:
            launcher = TWO_PROCESSES
        model = finish(train(config, output, *launcher), output)
        models.append(load_file(model / "denoiser.safetensors"))

    heard, moved = "mid_block.attentions.0.transformer_blocks.0.attn_audio.to_out.0.weight", "motion_modules"
    first, second, third = models
    assert not first[heard].any() and second[heard].any(), "stage 1 leaves the sound at nothing"
    changed = {name for name in third if not torch.equal(third[name], second[name])}
    assert changed and all(moved in name for name in changed), "stage 3 trains the temporal modules alone"

    video, speech = tmp_path / "talks.mp4", next((shards.parent / "videos").glob("*.mp4"))
    reference = ROOT / "examples" / "portrait.png"
    use = ("--model", model, "--crop", "whole", "--size", 64, "--steps", 1, "--device", "cpu")
    run("animate", "--reference", reference, "--speech", speech, "--output", video, *use)
    assert open_driving(video).num_frames == FRAMES
    report = tmp_path / "speech.json"
    quick = ("--size", 64, "--steps", 1)
    measured = ("--parts", "speech", "--clips", 1, "--frames", 24, "--fit-frames", 2, "--bound-clips", 0)
    run("evaluate", "speech", "--model", model, "--speech", SPEECH, *measured, *quick, "--output", report)
    assert json.loads(report.read_text())
