"""A run shows how far it is: held-out loss from before the first step on, and a user's own animations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = {
    "name": "mine",
    "reference": str(EXAMPLES / "portrait.png"),
    "driving": str(EXAMPLES / "driving.mp4"),
    "options": {"crop": "whole", "stop": 3, "size": 64},
}


def trainer(data: dict[str, Any], folder: Path) -> Trainer:
    config = TrainingConfig.model_validate(data)
    return Trainer(config, build_task(config, folder), folder, ProcessGroup())


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def data(denoiser_data: dict[str, Any]) -> dict[str, Any]:
    return {**denoiser_data, "steps": 2, "validation_interval": 2, "log_interval": 1}


def test_the_held_out_loss_is_logged_from_before_the_first_step_on(data, tmp_path):
    assert trainer(data, tmp_path).run()
    found = [record for record in records(tmp_path) if "held_out/loss" in record]
    assert [record["step"] for record in found] == [0, 2]
    by_timestep = {key: value for key, value in found[0].items() if "_t" in key}
    assert [*by_timestep] == ["held_out/loss_t0125", "held_out/loss_t0500"]
    assert found[0]["held_out/loss"] == pytest.approx(sum(by_timestep.values()) / 2)
    assert found[1]["held_out/loss"] != found[0]["held_out/loss"]
    assert "validation_psnr/cross" not in found[0]


def test_the_held_out_loss_knows_nothing_of_what_training_drops_and_mixes(data, tmp_path):
    def measured(**changes: Any) -> float:
        config = TrainingConfig.model_validate({**data, "task": {**data["task"], **changes}})
        return build_task(config, tmp_path).held_out_loss(torch.device("cpu"))["loss"]

    alone = measured(reference_dropout=0.0)
    dropped = {"reference_dropout": 1.0, "background_dropout": 1.0, "driving_dropout": 1.0}
    assert measured(**dropped, start_share=1.0, start_noise_scale=0.1, own_start=True) == alone


def test_samples_are_animated_at_every_validation_also_at_the_start(data, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert trainer({**data, "samples": [SAMPLE], "validation_at_start": True}, tmp_path).run()
    for step in (0, 2):
        folder = tmp_path / "validation" / f"step_{step:08d}"
        assert (folder / "mine.png").is_file()
        with av.open(str(folder / "mine.mp4")) as video:
            assert len([*video.decode(video=0)]) == 3
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Images("sample/mine")] == [0, 2]
    assert [event.step for event in events.Scalars("held_out/loss")] == [0, 2]
    assert "validation_psnr/cross" in records(tmp_path)[0]


def test_a_sample_that_fails_later_is_told_and_the_training_goes_on(data, tmp_path):
    portrait = tmp_path / "portrait.png"
    portrait.write_bytes((EXAMPLES / "portrait.png").read_bytes())
    run = trainer({**data, "samples": [{**SAMPLE, "reference": str(portrait)}]}, tmp_path / "run")
    held_out_loss = run.task.held_out_loss

    def without_the_portrait(device: torch.device) -> Any:
        portrait.unlink(missing_ok=True)
        return held_out_loss(device)

    run.task.held_out_loss = without_the_portrait
    assert run.run()
    (told,) = [record["sample_failed"] for record in records(tmp_path / "run") if "sample_failed" in record]
    assert told.startswith(f"mine: {portrait}")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reference": "nowhere.png"}, r"samples: mine: .*nowhere\.png"),
        ({"driving": "nowhere.mp4"}, r"samples: mine: .*nowhere\.mp4"),
        ({"driving": None}, "samples: mine: driving: nothing is given"),
        ({"audio": "voice.wav"}, "samples: mine: speech: a model of the family megactor cannot use it"),
        ({"options": {"stops": 3}}, "samples: mine: options: .*stops"),
        ({"options": {"crop": "face", "size": 64}}, "samples: mine: .*face"),
    ],
)
def test_a_sample_that_cannot_be_made_is_told_before_the_start(data, tmp_path, changes, problem, monkeypatch):
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path))
    run = trainer({**data, "samples": [{**SAMPLE, **changes}]}, tmp_path / "run")
    with pytest.raises(InputError, match=problem):
        run.run()
    assert not (tmp_path / "run").exists()
