"""Several processes train what one would, and lose nothing when they are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import kill_after_a_checkpoint
from safetensors.torch import load_file

from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task
from megactor_core.weights.random_model import write_random_model

pytest.importorskip("accelerate")

ROOT = Path(__file__).parents[2]
STEPS = 3


@pytest.fixture
def data(denoiser_data) -> dict[str, Any]:
    task = {
        **denoiser_data["task"],
        "data": {"size": 32, "references": 4, "frames": 2},
        "sample_latents": True,
        "feature_weight": 3.0,
        "change_weight": 1.0,
        "start_share": 0.5,
        "own_start": True,
        "reference_dropout": 0.5,
        "background_dropout": 0.3,
        "driving_dropout": 0.3,
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1},
    }
    # Adam turns rounding of tiny gradients into whole steps; this epsilon is above them.
    optimizer = {**denoiser_data["optimizer"], "epsilon": 1e-3, "group_rates": {"attn": 0.5, "conv": 2.0}}
    run = {"steps": STEPS, "gradient_accumulation": 2, "device": "cpu", "log_interval": 1}
    run |= {"checkpoint_interval": 1, "validation_interval": STEPS}
    return {**denoiser_data, **run, "optimizer": optimizer, "task": task}


@pytest.fixture
def hearing_data(data: dict[str, Any]) -> dict[str, Any]:
    """The same of a model that hears, with every kind of modality."""
    task = data["task"]
    model = {
        **task["model"],
        "family": "megactor-sigma",
        "denoiser": {**task["model"]["denoiser"], "audio_dim": 8},
        "audio_encoder": {"kind": "conv", "width": 8, "blocks": 1, "window_positions": True},
        "driving_modes": ["eyes_mouth", "eyes"],
    }
    modalities = {
        "patches": ["tight", "union", "rectangle"],
        "speech_weight": 4.0,
        "local_sound": 0.5,
        "draws": [
            {"share": 0.4, "show": "eyes", "sound": "speech"},
            {"share": 0.3, "show": "eyes", "sound": "silence", "masked": ["mouth"]},
            {"share": 0.1, "show": "eyes", "sound": "speech", "sound_weight": 0.0, "still": True},
            {"share": 0.2, "show": "none", "sound": "none", "reference": False},
        ],
    }
    dropped = {"reference_dropout": 0.0, "driving_dropout": 0.0, "modalities": modalities}
    trained = ["denoiser.", "reference_network.", "audio_encoder.window_positions"]
    untrained = {"motion_modules": True, "untrained": ["motion_module"]}
    run = {
        "gradient_checkpointing": True,
        "checkpoints_kept": STEPS,
        "optimizer": {**data["optimizer"], "group_rates": {"attn_audio": 10.0}},
    }
    return {**data, **run, "task": {**task, **dropped, **untrained, "model": model, "trainable": trained}}


def launch(kind: str, *program: object) -> subprocess.Popen[str]:
    arguments = ["--config_file", f"configs/accelerate/{kind}.yaml", "--main_process_port", "0"]
    command = ["-m", "accelerate.commands.launch", *arguments, "--num_processes", "2", *map(str, program)]
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def launch_train(config: Path, folder: Path) -> subprocess.Popen[str]:
    return launch("ddp", "-m", "megactor_core", "train", "--config", config, "--output", folder)


def finish(process: subprocess.Popen[str], printed: str) -> None:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0 and output == printed, errors


def weights(folder: Path, group: str = "networks", step: int = STEPS) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step_{step:08d}" / f"{group}.safetensors")


def losses(folder: Path) -> list[float]:
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record[name] for record in records for name in ("loss", "held_out/loss") if name in record]


def assert_follows(folder: Path, alone: Path) -> None:
    torch.testing.assert_close(losses(folder), losses(alone), rtol=1e-4, atol=1e-6)
    for group in ("networks", "ema"):
        torch.testing.assert_close(weights(folder, group), weights(alone, group), rtol=1e-4, atol=2e-6)
    for path in (alone / "model").glob("*.safetensors"):
        exported = load_file(folder / "model" / path.name)
        torch.testing.assert_close(exported, load_file(path), rtol=1e-4, atol=2e-6)


def first_gradients(folder: Path) -> dict[str, torch.Tensor]:
    """Of each weight, up to a factor: Adam's first moments after one step."""
    return {name: one for name, one in weights(folder, "optimizer", 1).items() if "exp_avg." in name}


def train_alone(data: dict[str, Any], folder: Path) -> None:
    config = TrainingConfig.model_validate(data)
    assert Trainer(config, build_task(config, folder), folder, ProcessGroup()).run()


def test_two_processes_train_a_model_that_hears_as_one_does(hearing_data, write_yaml, tmp_path):
    process = launch_train(write_yaml(hearing_data), tmp_path / "two")
    train_alone(hearing_data, tmp_path / "one")
    finish(process, f"{tmp_path / 'two' / 'model'}\n")
    assert_follows(tmp_path / "two", tmp_path / "one")
    together, alone = first_gradients(tmp_path / "two"), first_gradients(tmp_path / "one")
    assert any("attn_audio" in name for name in alone)
    largest = max(gradient.abs().max() for gradient in alone.values())
    for name, gradient in alone.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-5, atol=1e-6 * float(largest), msg=name)


def test_two_processes_train_what_one_does_also_when_they_are_killed(data, write_yaml, tmp_path):
    config, alone, unbroken, broken = write_yaml(data), *(tmp_path / name for name in "abc")
    train_alone(data, alone)
    finish(launch_train(config, unbroken), f"{unbroken / 'model'}\n")
    assert_follows(unbroken, alone)
    kill_after_a_checkpoint(launch_train(config, broken), broken)
    finish(launch_train(config, broken), f"{broken / 'model'}\n")
    for group in ("networks", "optimizer", "ema"):
        first, second = weights(unbroken, group), weights(broken, group)
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_spread_weights_train_alike_and_are_saved_and_exported_whole(data, write_yaml, tmp_path):
    data = {**data, "gradient_accumulation": 1, "checkpoint_interval": 2}
    config, alone, spread = write_yaml(data), tmp_path / "alone", tmp_path / "spread"
    train_alone(data, alone)
    finish(launch("fsdp", Path(__file__).with_name("train_twice.py"), config, spread), "")
    assert_follows(spread, alone)


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    processes = ProcessGroup()
    processes.count = 3
    with pytest.raises(InputError, match=r"batch of 4: cannot be shared evenly by 3 processes.*references"):
        processes.part(4)


def test_two_processes_train_controlnets_as_one_does(data, write_yaml, tmp_path):
    write_random_model("xportrait", tmp_path / "base")
    controls = {"face_dropout": 0.3, "patch_dropout": 0.3, "self_rate": 0.5, "augmentation": {}}
    task = {
        "name": "denoiser",
        "initial_weights": str(tmp_path / "base"),
        "trainable": ["reference_network.", "face_control.", "patch_control."],
        "motion_modules": False,
        "reference_start_share": 0.0,
        "sample_latents": False,
        "reference_dropout": 0.3,
        "controls": controls,
        "data": {"size": 64, "references": 4, "frames": 1},
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1},
    }
    data = {**data, "task": task, "gradient_accumulation": 1}
    process = launch_train(write_yaml(data), tmp_path / "two")
    train_alone(data, tmp_path / "one")
    finish(process, f"{tmp_path / 'two' / 'model'}\n")
    assert_follows(tmp_path / "two", tmp_path / "one")
