"""Real clips in shards: trained on, validated on the identities kept aside, broken ones counted."""

from __future__ import annotations

import json

import pytest
from clip_shards import puppet_sample, write_samples

from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task


@pytest.fixture
def data(denoiser_data, tmp_path):
    shards = {
        "name": "shards",
        "shards": str(tmp_path / "00000.tar"),
        "size": 32,
        "references": 2,
        "frames": 2,
    }
    shards |= {"minimum_face_ratio": 0.02, "held_out": 0.3}
    task = {**denoiser_data["task"], "data": shards, "auxiliary_weight": 0.0}
    return {**denoiser_data, "steps": 8, "log_interval": 1, "validation_interval": 8, "task": task}


def trainer(data, folder) -> Trainer:
    config = TrainingConfig.model_validate(data)
    return Trainer(config, build_task(config, folder), folder, ProcessGroup())


def test_clips_are_trained_on_and_compared_with_the_copied_reference(data, tmp_path):
    samples = {f"clip{index}": puppet_sample(index, frames=16) for index in range(4)}
    samples["clip3"]["mp4"] = samples["clip3"]["mp4"][:500]
    write_samples(tmp_path / "00000.tar", samples)
    assert trainer(data, tmp_path / "run").run()
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert sum(record.get("broken_clips", 0) for record in records) > 0
    measured = records[-1]
    assert {
        "validation_shards/psnr",
        "validation_shards/copy_psnr",
        "validation_psnr/cross",
    } <= measured.keys()
    names = {path.name for path in (tmp_path / "run" / "validation" / "step_00000008").iterdir()}
    assert names == {"clip_0.mp4", "clip_0.png"}


def test_shards_that_do_not_exist_are_named(data, tmp_path):
    with pytest.raises(InputError, match=r"00000\.tar"):
        trainer(data, tmp_path / "run").run()
