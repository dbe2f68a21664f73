"""Low-rank additions are trained alone, and the file does in any loader what they did in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from megactor_core.errors import InputError
from megactor_core.training.config.run import TrainingConfig, read_config
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task
from megactor_core.weights.loading import load_model
from megactor_core.weights.lora import merge_lora
from megactor_core.weights.random_model import write_random_model

pytest.importorskip("peft")


@pytest.fixture
def data(denoiser_data, tmp_path) -> dict[str, Any]:
    write_random_model("megactor", tmp_path / "base")
    task = {
        "name": "denoiser",
        "initial_weights": str(tmp_path / "base"),
        "lora": {"rank": 2, "alpha": 4},
        "data": {"size": 64, "references": 1, "frames": 2},
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1},
    }
    optimizer = {"learning_rate": 0.05}
    return {**denoiser_data, "task": task, "optimizer": optimizer, "gradient_checkpointing": True}


def test_the_file_in_our_loader_makes_the_weights_that_were_trained(data, tmp_path):
    config = TrainingConfig.model_validate(data)
    task = build_task(config, tmp_path / "run")
    trainer = Trainer(config, task, tmp_path / "run", ProcessGroup())
    assert trainer.run()
    path = tmp_path / "run" / "model" / "lora.safetensors"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    base, merged = (load_model(tmp_path / "base").networks.denoiser for _ in range(2))
    report = merge_lora(merged, path)
    assert not report.unmatched
    names = {f"denoiser.{name}" for name in report.merged}
    assert any("motion_modules" in name for name in names) and any("attn2.to_k" in name for name in names)
    with trainer.state.ema.applied():
        trained = dict(task.all_networks.denoiser.named_modules())
        for name in report.merged:
            layer = trained[name]
            change = layer.get_delta_weight("default")
            assert change.abs().max() > 0
            before, after = (network.get_submodule(name).weight for network in (base, merged))
            torch.testing.assert_close(after, before + change, rtol=1e-4, atol=1e-6)


def test_names_are_those_of_the_hosts_own_loader(data, tmp_path):
    """``tests/inside_host`` shows that the host loads these names into the native model."""
    config = TrainingConfig.model_validate({**data, "steps": 1, "ema_decay": None})
    assert Trainer(config, build_task(config, tmp_path), tmp_path, ProcessGroup()).run()
    tensors = load_file(tmp_path / "model" / "lora.safetensors")
    denoiser = load_model(tmp_path / "base").networks.denoiser
    layers = {
        key.removeprefix("diffusion_model.").rsplit(".lora_", 1)[0] for key in tensors if ".lora_" in key
    }
    endings = ("to_q", "to_k", "to_v", "to_out.0")
    assert layers == {name for name, _ in denoiser.named_modules() if name.endswith(endings)}
    assert tensors.keys() == {
        f"diffusion_model.{layer}.{part}"
        for layer in layers
        for part in ("lora_A.weight", "lora_B.weight", "alpha")
    }


def test_checkpoints_hold_the_additions_and_refuse_another_base(data, tmp_path):
    def trainer() -> Trainer:
        config = TrainingConfig.model_validate(data)
        return Trainer(config, build_task(config, tmp_path / "run"), tmp_path / "run", ProcessGroup())

    assert trainer().run()
    (saved,) = {path for path in (tmp_path / "run" / "checkpoints").glob("*4/networks.safetensors")}
    assert all(".lora_" in key for key in load_file(saved))
    for path in (tmp_path / "base").iterdir():
        path.unlink()
    (tmp_path / "base").rmdir()
    write_random_model("megactor", tmp_path / "base", seed=1)
    with pytest.raises(InputError, match=r"step_00000004: is of a run whose other, untrained weights differ"):
        trainer()


def test_a_layer_that_does_not_exist_is_named(data, write_yaml, tmp_path):
    data["task"]["lora"]["layers"] = ["to_everything"]
    with pytest.raises(InputError, match=r"task\.lora\.layers: .*to_everything"):
        build_task(read_config(write_yaml(data)), tmp_path)
