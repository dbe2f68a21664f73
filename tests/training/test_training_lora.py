"""Low-rank additions are trained alone, and the file does in any loader what they did in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

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


def additions(data: dict[str, Any], **lora: Any) -> dict[str, torch.Tensor]:
    """What the additions of a run add to each layer before its first step."""
    task = {**data["task"], "lora": {**data["task"]["lora"], **lora}}
    config = TrainingConfig.model_validate({**data, "task": task})
    denoiser = build_task(config, Path("unused")).all_networks.denoiser
    layers = {name: module for name, module in denoiser.named_modules() if hasattr(module, "lora_A")}
    return {name: module.get_delta_weight("default").detach() for name, module in layers.items()}


def write_lora(path: Path, layers: dict[str, tuple[int, int]], rank: int, named: str) -> Path:
    """A LoRA of random numbers with alpha 1, for layers by their numbers of outputs and inputs."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer, (outputs, inputs) in layers.items():
        name, down, up = (
            (f"lora_unet_{layer.replace('.', '_')}", "lora_down", "lora_up")
            if named == "kohya"
            else (f"base_model.model.{layer}", "lora_A", "lora_B")
        )
        tensors[f"{name}.{down}.weight"] = torch.randn(rank, inputs, generator=generator)
        tensors[f"{name}.{up}.weight"] = torch.randn(outputs, rank, generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("named", ["kohya", "peft"])
def test_a_run_starts_from_an_existing_lora(data, tmp_path, named):
    fresh = additions(data)
    assert all(not change.any() for change in fresh.values())
    layer = next(name for name in fresh if name.endswith("attn1.to_q"))
    path = write_lora(tmp_path / "a.safetensors", {layer: tuple(fresh[layer].shape)}, 2, named)
    denoiser, merged = (load_model(tmp_path / "base").networks.denoiser for _ in range(2))
    merge_lora(merged, path)
    change = merged.get_submodule(layer).weight - denoiser.get_submodule(layer).weight
    started = additions(data, initial_weights=str(path))
    torch.testing.assert_close(started.pop(layer), change, rtol=1e-4, atol=1e-6)
    assert all(not other.any() for other in started.values())


@pytest.mark.parametrize(
    ("rank", "layer", "problem"),
    [
        (4, "attn1.to_q", r"is of rank 4 in .*to_q, not 2. Use task\.lora\.rank: 4"),
        (2, "ff.net.2", r"changes .*ff\.net\.2, which is not trained. Add it to task\.lora\.layers"),
        (2, "nowhere", "fits no layer"),
    ],
)
def test_a_lora_that_does_not_fit_is_one_line(data, tmp_path, rank, layer, problem):
    modules = load_model(tmp_path / "base").networks.denoiser.named_modules()
    name, shape = next(
        ((name, tuple(module.weight.shape)) for name, module in modules if name.endswith(layer)),
        (layer, (4, 4)),
    )
    path = write_lora(tmp_path / "a.safetensors", {name: shape}, rank, "peft")
    with pytest.raises(InputError, match=problem):
        additions(data, initial_weights=str(path))


def test_a_base_in_bf16_costs_no_bit_of_the_loss(data, tmp_path):
    losses, sizes = [], []
    for precision in ("fp32", "bf16"):
        lora = {**data["task"]["lora"], "base_precision": precision}
        run = {**data, "precision": "bf16", "steps": 1, "log_interval": 1, "validation_interval": 1}
        config = TrainingConfig.model_validate({**run, "task": {**data["task"], "lora": lora}})
        folder = tmp_path / precision
        trainer = Trainer(config, build_task(config, folder), folder, ProcessGroup())
        assert trainer.run()
        lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        losses.append([line[name] for line in lines for name in ("loss", "held_out/loss") if name in line])
        networks = trainer.task.all_networks.items()
        sizes.append(sum(p.nbytes for _, network in networks for p in network.parameters()))
        assert all(parameter.dtype == torch.float32 for parameter in trainer.state.parameters.values())
        assert (folder / "model" / "lora.safetensors").is_file()
    assert losses[0] == losses[1] and len(losses[0]) == 3
    assert sizes[1] < 0.6 * sizes[0]


def test_a_base_in_bf16_goes_with_that_precision_alone(data, write_yaml):
    data["task"]["lora"]["base_precision"] = "bf16"
    with pytest.raises(InputError, match=r"base_precision: bf16 goes with precision: bf16"):
        read_config(write_yaml(data))


def test_a_layer_that_does_not_exist_is_named(data, write_yaml, tmp_path):
    data["task"]["lora"]["layers"] = ["to_everything"]
    with pytest.raises(InputError, match=r"task\.lora\.layers: .*to_everything"):
        build_task(read_config(write_yaml(data)), tmp_path)
