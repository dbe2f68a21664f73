"""X-Portrait's training: three stages on a base that stays bit-identical, from the start to another base."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from megactor_core.animator import load_weights
from megactor_core.cli.main import main
from megactor_core.conditioning.compose import Clips, Kept, compose
from megactor_core.errors import InputError
from megactor_core.models.networks import CONTROLS, Networks
from megactor_core.seeds import torch_generator
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.prediction import predict_clips
from megactor_core.training.tasks.registry import build_task
from megactor_core.weights.frozen_base import base_sha256, spatial_weights
from megactor_core.weights.loading import LoadedModel, load_model
from megactor_core.weights.random_model import write_random_model

STEPS = 3
STAGES: dict[str, dict[str, Any]] = {
    "a": {
        "trainable": ["reference_network.", "face_control."],
        "motion_modules": False,
        "controls": {"self_rate": 0.5, "patch_dropout": 1.0, "augmentation": {}},
    },
    "b": {
        "trainable": ["reference_network.", "face_control.", "patch_control."],
        "motion_modules": False,
        "reference_dropout": 0.1,
        "controls": {"face_dropout": 0.1, "patch_dropout": 0.1, "augmentation": {}},
    },
    "c": {"trainable": ["motion_modules."], "controls": {"augmentation": {}}},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xportrait")
    write_random_model("xportrait", folder / "base")
    flags = ["--family", "xportrait", "--base", str(folder / "base"), "--dtype", "float32"]
    assert main(["weights", "start", str(folder / "start"), *flags]) == 0
    return folder / "start"


def settings(stage: str, initial: Path, **changes: Any) -> dict[str, Any]:
    task = {
        "name": "denoiser",
        "initial_weights": str(initial),
        "data": {"size": 64, "references": 3, "frames": 2},
        "sample_latents": False,
        "reference_start_share": 0.0,
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1},
        **STAGES[stage],
    }
    run = {"seed": 3, "steps": STEPS, "num_workers": 0, "checkpoint_interval": 1, "validation_interval": 99}
    return {**run, "optimizer": {"learning_rate": 1e-2}, "task": task, "device": "cpu", **changes}


def train(data: dict[str, Any], folder: Path) -> Path:
    config = TrainingConfig.model_validate(data)
    assert Trainer(config, build_task(config, folder), folder, ProcessGroup()).run()
    return folder / "model"


def state(folder: Path, group: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step_{STEPS:08d}" / f"{group}.safetensors")


def record_in(folder: Path) -> dict[str, str]:
    return json.loads((folder / "base.json").read_text())


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def changed(first: LoadedModel, second: LoadedModel) -> set[str]:
    pairs = zip(first.networks.items(), second.networks.items(), strict=True)
    return {
        f"{name}.{key}"
        for (name, before), (_, after) in pairs
        for key, value in before.state_dict().items()
        if not torch.equal(value, after.state_dict()[key])
    }


def clips_of(model: LoadedModel, count: int = 2, frames: int = 2) -> tuple[Clips, torch.Tensor]:
    rng = torch_generator(1, 2, 3)
    hints = {name: torch.rand(count, frames, 3, 64, 64, generator=rng) * 255 for name in CONTROLS}
    latents = torch.randn(count, 4, 8, 8, generator=rng)
    pictures, masks = torch.rand(count, 3, 64, 64, generator=rng), torch.zeros(count, 1, 8, 8)
    clips = Clips(pictures, masks, latents, latents, hints)
    return clips, torch.randn(count, 4, frames, 8, 8, generator=rng)


def predicted(
    model: LoadedModel, kept: Kept, motion: bool = False, networks: Networks | None = None
) -> torch.Tensor:
    networks = networks or model.networks
    clips, noisy = clips_of(model)
    conditions = compose(model.config, networks, clips, kept).conditions
    timesteps = torch.tensor([600, 200])
    return predict_clips(networks, conditions, noisy, timesteps, reads=kept.reference, motion=motion)


def test_three_stages_train_what_they_name_and_leave_the_base_alone(start: Path, tmp_path: Path) -> None:
    before, initial = load_model(start), start
    base = base_sha256(spatial_weights(before.networks.module("denoiser")))
    assert record_in(start)["sha256"] == base
    for stage, parts in (("a", STAGES["a"]), ("b", STAGES["b"]), ("c", STAGES["c"])):
        exported = train(settings(stage, initial), tmp_path / stage)
        trained = state(tmp_path / stage, "networks")
        assert all(any(part in name for part in parts["trainable"]) for name in trained)
        moments = state(tmp_path / stage, "optimizer")
        assert {name.split(".", 1)[1] for name in moments} == trained.keys(), "nothing else has any"
        for name in trained:
            assert moments[f"exp_avg.{name}"].any(), f"{name} never had a gradient"
        after = load_model(exported)
        assert base_sha256(spatial_weights(after.networks.module("denoiser"))) == base
        assert changed(before, after) == set(trained)
        assert record_in(exported)["sha256"] == base
        assert record_in(exported)["name"] == record_in(start)["name"]
        assert not (exported / "denoiser.safetensors").exists()
        before, initial = after, exported


def test_a_model_joins_another_base_and_says_so_in_one_line(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exported = train(settings("a", start, steps=1), tmp_path / "a")
    write_random_model("xportrait", tmp_path / "other", seed=7)
    other = tmp_path / "other" / "denoiser.safetensors"
    assert not caplog.messages
    joined, _ = load_weights(exported, device="cpu", base=other)
    (line,) = caplog.messages
    assert str(other) in line and "is not the base that the model was trained on" in line
    expected = load_model(tmp_path / "other").networks.module("denoiser").state_dict()
    for name, tensor in spatial_weights(joined.networks.module("denoiser")):
        assert tensor.equal(expected[name])
    same_place = Path(record_in(exported)["path"])
    kept = same_place.read_bytes()
    shutil.copyfile(other, same_place)
    caplog.clear()
    load_model(exported)
    same_place.write_bytes(kept)
    (line,) = caplog.messages
    assert str(same_place) in line and "is not the base that the model was trained on" in line
    moved = {**record_in(exported), "path": str(tmp_path / "gone.safetensors")}
    (exported / "base.json").write_text(json.dumps(moved))
    with pytest.raises(InputError, match=r"needs its base, .*/base, which is not at .*gone.*--base"):
        load_model(exported)


def test_fresh_networks_change_nothing_and_dropped_rows_are_the_base_alone(start: Path) -> None:
    model = load_model(start)
    with torch.no_grad():
        read = predicted(model, Kept(controls={}))
        assert predicted(model, Kept()).equal(read), "zero convolutions"
        assert predicted(model, Kept(), motion=True).equal(read), "new temporal modules"
        dropped = Kept(reference=torch.zeros(2, dtype=torch.bool), controls={})
        alone = predicted(model, dropped)
        assert not alone.equal(read)
        unet = UNet2DConditionModel(
            in_channels=4,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            block_out_channels=(8, 16),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        )
        unet.load_state_dict(dict(spatial_weights(model.networks.module("denoiser"))))
        _, noisy = clips_of(model)
        tokens = model.networks.constant_context.tokens
        timesteps = torch.tensor([600, 200]).repeat_interleave(2)
        plain = unet(noisy.transpose(1, 2).flatten(0, 1), timesteps, tokens.expand(4, -1, -1)).sample
        torch.testing.assert_close(alone, plain.unflatten(0, (2, 2)).transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_a_row_without_eyes_and_mouth_is_as_if_there_were_no_such_network(
    tmp_path: Path,
) -> None:
    write_random_model("xportrait", tmp_path / "model")
    model = load_model(tmp_path / "model")
    both, first = torch.tensor([True, True]), torch.tensor([True, False])
    with torch.no_grad():
        some = predicted(model, Kept(controls={"face_control": both, "patch_control": first}))
        without = predicted(model, Kept(controls={"face_control": both}))
        whole = predicted(model, Kept())
    torch.testing.assert_close(some[1], without[1])
    torch.testing.assert_close(some[0], whole[0])
    assert not torch.allclose(some[0], without[0])


def test_gradients_pass_through_the_frozen_base(tmp_path: Path) -> None:
    write_random_model("xportrait", tmp_path / "model")
    model = load_model(tmp_path / "model", dtype=torch.float64)
    reference = model.networks.module("reference_network")
    weight = reference.get_parameter("down_blocks.0.resnets.0.conv1.weight")
    weight.requires_grad_(True)
    doubled = replace(model, networks=model.networks)

    def loss() -> torch.Tensor:
        clips, noisy = clips_of(doubled)
        fields = {name: value for name, value in vars(clips).items() if value is not None}
        doubles = {n: v.double() for n, v in fields.items() if isinstance(v, torch.Tensor)}
        doubles |= {"shown": {name: one.double() for name, one in clips.shown.items()}}
        conditions = compose(model.config, model.networks, Clips(**doubles), Kept()).conditions
        prediction = predict_clips(
            model.networks, conditions, noisy.double(), torch.tensor([600, 200]), motion=True
        )
        return prediction.square().mean()

    loss().backward()
    assert weight.grad is not None
    place, step = (1, 2, 1, 1), 1e-5
    exact = float(weight.grad[place])
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            weight[place] += sign * step
            values.append(float(loss()))
            weight[place] -= sign * step
    assert exact != 0
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(exact, rel=1e-5)
    assert all(p.grad is None for p in model.networks.module("denoiser").parameters())


def test_recomputed_activations_and_a_resumed_run_change_no_bit(start: Path, tmp_path: Path) -> None:
    data = settings("b", start)
    train(data, tmp_path / "plain")
    train({**data, "gradient_checkpointing": True}, tmp_path / "recomputed")
    train(data, tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "checkpoints" / f"step_{STEPS:08d}")
    shutil.rmtree(tmp_path / "broken" / "model")
    train(data, tmp_path / "broken")
    for other in ("recomputed", "broken"):
        for group in ("networks", "optimizer"):
            assert same(state(tmp_path / "plain", group), state(tmp_path / other, group)), other


def test_what_is_for_controlnets_is_refused_elsewhere(denoiser_data: dict[str, Any], tmp_path: Path) -> None:
    task = {**denoiser_data["task"], "controls": {"self_rate": 0.5}}
    with pytest.raises(
        InputError, match=r"task\.controls: is for models with ControlNets; megactor has none"
    ):
        build_task(TrainingConfig.model_validate({**denoiser_data, "task": task}), tmp_path)
