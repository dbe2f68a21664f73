"""Runs stop, fail and go on without losing anything, and end in a model that loads."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig, read_config
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.autoencoder import AutoencoderTask
from megactor_core.training.tasks.registry import build_task
from megactor_core.weights.loading import load_model


def train(data, folder: Path) -> Trainer:
    config = TrainingConfig.model_validate(data)
    trainer = Trainer(config, build_task(config, folder), folder, ProcessGroup())
    assert trainer.run()
    return trainer


def start(config: Path, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "megactor_core", "train", "--config", str(config), "--output", str(folder)],
        text=True,
        stdout=subprocess.PIPE,
        env=environment,
    )


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    while not list((folder / "checkpoints").glob("step_*")):
        assert process.poll() is None
        time.sleep(0.02)


def same_tensors(first: Path, second: Path) -> bool:
    a, b = load_file(first), load_file(second)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_killed_run_ends_with_the_bits_of_an_unbroken_one(denoiser_data, write_yaml, tmp_path):
    start_task = {**denoiser_data["task"], "start_share": 0.5, "start_noise_scale": 0.1, "own_start": True}
    data = {**denoiser_data, "task": start_task, "steps": 10, "validation_interval": 1000}
    data = {**data, "num_workers": 1}
    data["optimizer"] = {**data["optimizer"], "group_rates": {"reference_network.": 0.1}}
    config = write_yaml(data)
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert start(config, unbroken).communicate()[0].endswith("model\n")
    process = start(config, broken)
    wait_for_checkpoint(broken, process)
    process.kill()
    process.communicate()
    assert not (broken / "model").exists(), "the run was to be killed in the middle"
    assert start(config, broken).communicate()[0].endswith("model\n")
    for group in ("networks", "optimizer", "ema"):
        name = f"checkpoints/step_00000010/{group}.safetensors"
        assert same_tensors(unbroken / name, broken / name)
    for path in (unbroken / "model").glob("*.safetensors"):
        assert same_tensors(path, broken / "model" / path.name)
    steps = [json.loads(line)["step"] for line in (broken / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 10


def test_one_training_at_a_time_writes_into_a_folder(autoencoder_data, write_yaml, tmp_path):
    data = {**autoencoder_data, "steps": 100_000, "checkpoint_interval": 2, "validation_interval": 100_000}
    config, folder = write_yaml(data), tmp_path / "run"
    first = start(config, folder)
    wait_for_checkpoint(folder, first)
    command = ["-m", "megactor_core", "train", "--config", str(config), "--output", str(folder)]
    second = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    assert second.returncode == 2 and f"{folder}: another training is writing into it" in second.stderr
    assert first.poll() is None
    first.kill()
    first.communicate()


def test_sigterm_saves_a_checkpoint_and_ends_cleanly(autoencoder_data, write_yaml, tmp_path):
    data = {**autoencoder_data, "steps": 100_000, "checkpoint_interval": 2, "validation_interval": 100_000}
    folder = tmp_path / "run"
    process = start(write_yaml(data), folder)
    wait_for_checkpoint(folder, process)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0].startswith("stopped after step ") and process.returncode == 0
    state = json.loads((sorted((folder / "checkpoints").iterdir())[-1] / "state.json").read_text())
    assert state["step"] >= 2


def test_the_exported_model_loads_and_stage_2_trains_only_temporal_modules(denoiser_data, tmp_path):
    train(denoiser_data, tmp_path / "stage1")
    first = load_model(tmp_path / "stage1" / "model")
    task = {**denoiser_data["task"], "initial_weights": str(tmp_path / "stage1" / "model")}
    task = {**task, "motion_modules": True, "trainable": ["motion_module"], "auxiliary_weight": 0.0}
    task = {**task, "start_share": 0.5, "own_start": True, "change_weight": 1.0}
    schedule = {**first.config.to_dict()["training_scheduler"], "rescale_betas_zero_snr": False}
    task = {**task, "start": "reference", "schedule": schedule}
    task["data"] = {**task["data"], "frames": 4}
    del task["model"]
    train({**denoiser_data, "task": task, "gradient_checkpointing": True}, tmp_path / "stage2")
    second = load_model(tmp_path / "stage2" / "model")
    changed = {
        f"{name}.{key}"
        for (name, before), (_, after) in zip(first.networks.items(), second.networks.items(), strict=True)
        for key, value in before.state_dict().items()
        if not torch.equal(value, after.state_dict()[key])
    }
    assert changed and all("motion_module" in name for name in changed)
    assert first.config.start == "noise" and second.config.start == "reference"
    schedules = (second.config.inference_scheduler, second.config.training_scheduler)
    assert not any(schedule.rescale_betas_zero_snr for schedule in schedules)


def test_fp16_scales_its_gradients_and_goes_on_with_the_same_scale(autoencoder_data, tmp_path):
    data = {**autoencoder_data, "precision": "fp16", "steps": 6}
    train(data, tmp_path / "unbroken")
    train(data, tmp_path / "broken")
    saved = tmp_path / "broken" / "checkpoints" / "step_00000006"
    scaler = json.loads((saved / "state.json").read_text())["scaler"]
    assert scaler["scale"] > 1
    shutil.rmtree(saved)
    resumed = train(data, tmp_path / "broken")
    assert resumed.state.scaler.get_scale() == scaler["scale"]
    for group in ("networks", "optimizer", "ema"):
        name = f"checkpoints/step_00000006/{group}.safetensors"
        assert same_tensors(tmp_path / "unbroken" / name, tmp_path / "broken" / name)


def test_the_log_is_in_tensorboard_and_tells_speed_and_memory(autoencoder_data, tmp_path, capsys):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(autoencoder_data, tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4]
    assert {"samples_per_second", "memory_gib", "validation_psnr"} <= set(events.Tags()["scalars"])
    assert "samples/s=" in capsys.readouterr().err


def test_validation_keeps_clips_and_sheets_of_the_same_puppets(denoiser_data, tmp_path):
    train({**denoiser_data, "steps": 2, "validation_interval": 1}, tmp_path)
    for step in ("step_00000001", "step_00000002"):
        names = sorted(path.name for path in (tmp_path / "validation" / step).iterdir())
        assert names == ["puppet_0.mp4", "puppet_0.png"]
    with av.open(str(tmp_path / "validation" / step / "puppet_0.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape == (32, 4 * 32, 3)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    measured = [record for record in records if "validation_psnr/cross" in record]
    assert [record["step"] for record in measured] == [1, 2]
    assert measured[0]["validation_psnr/copy"] == measured[1]["validation_psnr/copy"]


def test_8_bit_adam_goes_on_with_the_same_moments(autoencoder_data, tmp_path):
    pytest.importorskip("bitsandbytes")
    vae = {**autoencoder_data["task"]["vae"], "block_out_channels": [32, 32, 32, 32]}
    data = {**autoencoder_data, "task": {**autoencoder_data["task"], "vae": vae}}
    data["optimizer"] = {**data["optimizer"], "name": "adamw_8bit", "group_rates": {"encoder": 0.5}}
    for name in ("unbroken", "broken"):
        train(data, tmp_path / name)
    shutil.rmtree(tmp_path / "broken" / "checkpoints" / "step_00000004")
    train(data, tmp_path / "broken")
    for group in ("networks", "optimizer"):
        name = f"checkpoints/step_00000004/{group}.safetensors"
        assert same_tensors(tmp_path / "unbroken" / name, tmp_path / "broken" / name)
    moments = load_file(tmp_path / "broken" / "checkpoints" / "step_00000004" / "optimizer.safetensors")
    assert any(tensor.dtype == torch.uint8 for tensor in moments.values())


def test_without_bitsandbytes_8_bit_adam_says_what_is_missing(autoencoder_data, tmp_path):
    if importlib.util.find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    data = {**autoencoder_data, "optimizer": {**autoencoder_data["optimizer"], "name": "adamw_8bit"}}
    with pytest.raises(InputError, match=r"optimizer\.name: adamw_8bit: needs bitsandbytes"):
        train(data, tmp_path)


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(autoencoder_data, tmp_path):
    resource = pytest.importorskip("resource")
    train({**autoencoder_data, "steps": 4}, tmp_path / "enough")
    size = max(p.stat().st_size for p in (tmp_path / "enough" / "checkpoints").rglob("*.safetensors"))
    config = TrainingConfig.model_validate(autoencoder_data)
    trainer = Trainer(config, build_task(config, tmp_path), tmp_path, ProcessGroup())
    good = trainer.checkpoints.save(trainer.state.collect(trainer.processes))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoint of step 2 cannot be written: .*Free space"):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path in (tmp_path / "checkpoints").iterdir()] == [good]
    train(autoencoder_data, tmp_path)


def test_the_autoencoder_exports_its_measured_scaling_factor(autoencoder_data, tmp_path):
    train(autoencoder_data, tmp_path)
    config = json.loads((tmp_path / "model" / "vae.json").read_text())
    assert config["scaling_factor"] > 0 and config["latent_channels"] == 4
    assert (tmp_path / "validation" / "step_00000004" / "pictures.png").is_file()
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[0]["step"] == 2 and np.isfinite(records[0]["loss"])
    assert "validation_psnr" in records[-1]


def test_an_autoencoder_goes_on_from_a_trained_one(autoencoder_data, tmp_path):
    train(autoencoder_data, tmp_path / "first")
    first = tmp_path / "first" / "model"
    task = {key: value for key, value in autoencoder_data["task"].items() if key != "vae"}
    task |= {"initial_weights": str(first), "procedural_share": 0.5}
    still = {**autoencoder_data, "optimizer": {"name": "adamw", "learning_rate": 1e-12}}
    train({**still, "task": task}, tmp_path / "second")
    before, after = (load_file(tmp_path / name / "model" / "vae.safetensors") for name in ("first", "second"))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert "validation_procedural_psnr" in (tmp_path / "second" / "log.jsonl").read_text()
    task["initial_weights"] = str(tmp_path)
    with pytest.raises(InputError, match=r"is no exported autoencoder"):
        train({**still, "task": task}, tmp_path / "third")


def test_a_loss_that_is_not_finite_stops_the_run(autoencoder_data, tmp_path, monkeypatch):
    loss = AutoencoderTask.loss

    def broken(self, batch, context):
        value, scalars = loss(self, batch, context)
        return value * (float("nan") if context.step == 3 else 1), scalars

    monkeypatch.setattr(AutoencoderTask, "loss", broken)
    with pytest.raises(
        InputError, match=r"not finite at step 4; the last good checkpoint is .*step_00000002"
    ):
        train(autoencoder_data, tmp_path)
    weights = load_file(tmp_path / "checkpoints" / "step_00000002" / "networks.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_folder_is_not_continued_with_another_config(autoencoder_data, denoiser_data, tmp_path):
    train(autoencoder_data, tmp_path)
    changed = {**autoencoder_data, "optimizer": {**autoencoder_data["optimizer"], "learning_rate": 0.5}}
    with pytest.raises(InputError, match=r"optimizer\.learning_rate: 0\.001 there, 0\.5 here"):
        train(changed, tmp_path)
    with pytest.raises(InputError, match="step_00000004: is a checkpoint of autoencoder, not of megactor"):
        train(denoiser_data, tmp_path)
    train({**autoencoder_data, "log_interval": 1}, tmp_path)


def test_missing_weights_to_start_from_are_named(denoiser_data, write_yaml, tmp_path):
    denoiser_data["task"]["vae"] = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="nowhere: is no exported autoencoder"):
        build_task(read_config(write_yaml(denoiser_data)), tmp_path)
