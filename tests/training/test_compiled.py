"""Compiled blocks compute what they did, and a run may be compiled from any step on."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine import step
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task


def train(data: dict[str, Any], folder: Path) -> list[float]:
    """Losses of the run's steps."""
    config = TrainingConfig.model_validate(data)
    assert Trainer(config, build_task(config, folder), folder, ProcessGroup()).run()
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if "loss" in record]


def test_a_run_goes_on_compiled_with_the_same_losses_and_names(autoencoder_data, tmp_path, monkeypatch):
    # everything of torch.compile but its slow last step, the generated code
    monkeypatch.setattr(step, "compile_blocks", partial(step.compile_blocks, backend="aot_eager"))
    one_level = {
        "down_block_types": ["DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D"],
        "block_out_channels": [8],
    }
    task = {**autoencoder_data["task"], "vae": {**autoencoder_data["task"]["vae"], **one_level}}
    data = {**autoencoder_data, "task": task, "steps": 4, "log_interval": 1, "validation_interval": 100}
    plain = train(data, tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed" / "checkpoints" / "step_00000004")
    compiled = train({**data, "compile": True}, tmp_path / "mixed")
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-6)
    names = ("plain", "mixed")
    expected, found = (load_file(tmp_path / name / "model" / "vae.safetensors") for name in names)
    assert expected.keys() == found.keys()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
