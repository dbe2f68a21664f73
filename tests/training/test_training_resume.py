"""A run goes on with what was changed on purpose, and any kept checkpoint becomes a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.resume import Resume
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task


def trainer(data: dict[str, Any], folder: Path, resume: Resume | None = None) -> Trainer:
    config = TrainingConfig.model_validate(data)
    return Trainer(config, build_task(config, folder), folder, ProcessGroup(), resume)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def data(denoiser_data: dict[str, Any]) -> dict[str, Any]:
    task = {
        **denoiser_data["task"],
        "data": {"size": 32, "references": 1, "frames": 2},
        "auxiliary_weight": 0.0,
        "export_precision": "fp32",
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1, "loss_timesteps": []},
    }
    optimizer = {"learning_rate": 1e-3, "warmup_steps": 2}
    run = {"task": task, "optimizer": optimizer, "steps": 2, "log_interval": 1, "checkpoint_interval": 1}
    return {**denoiser_data, **run, "validation_interval": 100}


def test_a_rate_is_changed_on_purpose_and_the_log_tells_at_which_step(data, tmp_path):
    assert trainer(data, tmp_path).run()
    optimizer = {**data["optimizer"], "learning_rate": 1e-4, "group_rates": {"denoiser.": 0.5}}
    changed = {**data, "steps": 4, "optimizer": optimizer}
    fields = "optimizer.group_rates optimizer.learning_rate steps"
    with pytest.raises(InputError, match=rf"0\.0001 here.*--change {fields}"):
        trainer(changed, tmp_path)
    with pytest.raises(InputError, match=r"learning_rate: 0\.001 there.*--change optimizer\.learning_rate"):
        trainer(changed, tmp_path, Resume(("steps", "optimizer.group_rates")))
    run = trainer(changed, tmp_path, Resume(tuple(fields.split())))
    assert run.state.step == 2 and run.run()
    told = [(record["step"], record["changed"]) for record in records(tmp_path) if "changed" in record]
    assert (2, "optimizer.learning_rate: 0.001 there, 0.0001 here") in told
    rates = [record["learning_rate"] for record in records(tmp_path) if "learning_rate" in record]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-4, 1e-4])
    assert records(tmp_path)[-2]["learning_rate/denoiser."] == pytest.approx(5e-5)
    trainer(changed, tmp_path)  # from now on the change is the run's


def test_what_a_run_is_cannot_be_changed(data, tmp_path):
    with pytest.raises(InputError, match=r"--change task\.size: is not to be changed in a run"):
        Resume(("task.size",))
    assert trainer({**data, "steps": 1, "optimizer": {}}, tmp_path).run()
    with pytest.raises(
        InputError, match=r"task\.change_weight: 0\.0 there, 2\.0 here\)\. Give another.*started with\.$"
    ):
        trainer(
            {**data, "steps": 1, "optimizer": {}, "task": {**data["task"], "change_weight": 2.0}}, tmp_path
        )


def test_an_optimizer_that_begins_anew_warms_up_again_also_when_it_is_killed(data, tmp_path):
    assert trainer({**data, "steps": 3}, tmp_path / "unbroken").run()
    shutil.copytree(tmp_path / "unbroken", tmp_path / "broken")
    for name in ("unbroken", "broken"):
        run = trainer({**data, "steps": 6}, tmp_path / name, Resume(("steps",), restarts_optimizer=True))
        assert run.state.step == 3 and not run.state.optimizer.state
        if name == "broken":
            batches = _Ends(run.task.dataset(ProcessGroup()), 4)
            run.task.dataset = lambda _, batches=batches: batches
            with pytest.raises(KeyboardInterrupt):
                run.run()
            run = trainer({**data, "steps": 6}, tmp_path / name)
            assert run.state.step == 4
        assert run.run()
    rates = {r["step"]: r["learning_rate"] for r in records(tmp_path / "broken") if "learning_rate" in r}
    assert [*rates.values()] == pytest.approx([5e-4, 1e-3, 1e-3, 5e-4, 1e-3, 1e-3])
    assert {"step": 3, "changed": "the optimizer begins anew"} in records(tmp_path / "unbroken")
    for group in ("networks", "optimizer", "ema"):
        path = f"checkpoints/step_00000006/{group}.safetensors"
        first, second = (load_file(tmp_path / name / path) for name in ("unbroken", "broken"))
        assert all(torch.equal(first[key], second[key]) for key in first)


class _Ends(torch.utils.data.Dataset):
    """A dataset at whose item a run is ended."""

    def __init__(self, dataset: Any, end: int) -> None:
        self.dataset, self.end = dataset, end

    def __getitem__(self, index: int) -> Any:
        if index == self.end:
            raise KeyboardInterrupt
        return self.dataset[index]


def test_every_kept_checkpoint_is_exported_with_its_averages(data, write_yaml, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", "--config", str(write_yaml({**data, "checkpoints_kept": 3})), "--output", str(run)]
    assert main(words) == 0
    assert main([*words, "--export", str(tmp_path / "first"), "--step", "1"]) == 0
    exported = load_file(tmp_path / "first" / "denoiser.safetensors")
    averages = load_file(run / "checkpoints" / "step_00000001" / "ema.safetensors")
    trained = {key: value for key, value in averages.items() if key.startswith("denoiser.")}
    assert trained
    assert all(torch.equal(exported[key.removeprefix("denoiser.")], trained[key]) for key in trained)
    assert main([*words, "--export", str(tmp_path / "last")]) == 0
    last = load_file(tmp_path / "last" / "denoiser.safetensors")
    assert any(not torch.equal(last[key], exported[key]) for key in last)
    capsys.readouterr()
    assert main([*words, "--export", str(tmp_path / "none"), "--step", "7"]) == 2
    assert "has no checkpoint of step 7 that can be read. Those of steps 1, 2 are" in capsys.readouterr().err
    assert main([*words, "--step", "1"]) == 2
    assert not (tmp_path / "none").exists()


def test_checkpoints_are_also_written_by_the_clock(data, tmp_path):
    run = {**data, "steps": 3, "checkpoint_interval": 100, "checkpoints_kept": 10}
    assert trainer({**run, "checkpoint_minutes": 1e-9}, tmp_path / "often").run()
    assert len([*(tmp_path / "often" / "checkpoints").iterdir()]) == 3
    assert trainer({**run, "checkpoint_minutes": 60}, tmp_path / "seldom").run()
    assert len([*(tmp_path / "seldom" / "checkpoints").iterdir()]) == 1
