"""Weights that cannot be used are refused in one clear line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from megactor_core.animation.memory import weight_bytes
from megactor_core.errors import InputError
from megactor_core.models.config import ModelConfig
from megactor_core.weights.convert import convert_official
from megactor_core.weights.loading import load_model

State = dict[str, torch.Tensor]


@pytest.fixture
def model_folder(tmp_path: Path, config: ModelConfig, states: dict[str, State]) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, state in states.items():
        save_file({k: v.half().contiguous() for k, v in state.items()}, folder / f"{name}.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def edit(path: Path, change: Callable[[State], object]) -> None:
    state = load_file(path)
    change(state)
    save_file(state, path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_weights_take_the_asked_dtype_and_nothing_stays_without_data(
    dtype: torch.dtype, model_folder: Path
) -> None:
    model = load_model(model_folder, dtype=dtype)

    for _, network in model.networks.items():
        assert not network.training
        assert all(p.dtype == dtype and not p.requires_grad for p in network.parameters())
        assert not any(t.is_meta for t in [*network.parameters(), *network.buffers()])
    tokens = model.networks.image_encoder(torch.zeros(1, 3, 28, 28, dtype=dtype)).last_hidden_state
    assert tokens.shape == (1, 5, 16)


def test_loaded_weights_do_not_change_with_their_file(model_folder: Path, states: dict[str, State]) -> None:
    model = load_model(model_folder, dtype=torch.float16)
    path = model_folder / "denoiser.safetensors"
    with open(path, "r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\0" * 1000)

    last = list(states["denoiser"])
    loaded = model.networks.denoiser.state_dict()
    assert all(torch.equal(loaded[key], states["denoiser"][key].half()) for key in last)


def test_the_estimate_is_what_loading_takes(model_folder: Path, config: ModelConfig) -> None:
    model = load_model(model_folder, dtype=torch.float16)

    taken = {
        name: sum(t.numel() * t.element_size() for t in network.state_dict().values())
        for name, network in model.networks.items()
    }

    assert weight_bytes(config, torch.float16) == taken


def test_a_named_model_is_looked_up_in_the_models_folder(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights download megactor"):
        load_model("megactor", models_folder=tmp_path / "models")

    shutil.copytree(model_folder, tmp_path / "models" / "megactor")
    assert (
        load_model("megactor", models_folder=tmp_path / "models").source == tmp_path / "models" / "megactor"
    )


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no known model.*demo, megactor"):
        load_model("no-such-model")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def to_sigma(path: Path) -> None:
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn_audio.to_k.weight"
    edit(
        path,
        lambda state: (
            [state.pop(k) for k in list(state) if "refer_" in k] and state.update({name: torch.ones(2)})
        ),
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "is missing"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (cut, "damaged or truncated"),
        (lambda p: p.write_text("not weights at all"), "not a file of weights"),
        (lambda p: torch.save({"conv_in.weight": torch.ones(1)}, p), "pickle and not a safetensors"),
        (lambda p: edit(p, lambda s: s.pop("conv_in.bias")), "1 keys missing: conv_in.bias"),
        (lambda p: edit(p, lambda s: s.update(more=torch.ones(1))), "1 keys unknown: more"),
        (
            lambda p: edit(p, lambda s: s.update({"conv_in.bias": torch.ones(3)})),
            r"1 keys misshapen: conv_in.bias \[3\] instead of \[8\]",
        ),
        (lambda p: edit(p, lambda s: s["conv_in.bias"].fill_(torch.nan)), "conv_in.bias holds NaN"),
        (to_sigma, "is a MegActor-Sigma denoiser, not a MegActor .v1. denoiser"),
        (lambda p: shutil.copy(p.with_name("vae.safetensors"), p), "is an autoencoder"),
    ],
    ids=[
        "missing",
        "empty",
        "truncated",
        "text",
        "pickle",
        "key-missing",
        "key-extra",
        "shape",
        "nan",
        "sigma",
        "vae",
    ],
)
def test_damaged_weights_are_refused(
    damage: Callable[[Path], object], message: str, model_folder: Path
) -> None:
    damage(model_folder / "denoiser.safetensors")

    with pytest.raises(InputError, match=message) as caught:
        load_model(model_folder)
    assert "denoiser.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1, 2]", '{"colour": 1}', '{"denoiser": {"block_out_channels": [7]}}'],
    ids=["empty", "cut", "list", "unknown-field", "impossible"],
)
def test_a_broken_configuration_is_refused(content: str, model_folder: Path) -> None:
    (model_folder / "config.json").write_text(content)

    with pytest.raises(InputError, match=r"config\.json"):
        load_model(model_folder)


def test_values_beyond_half_precision_say_so(model_folder: Path, states: dict[str, State]) -> None:
    state = {**states["vae"], "quant_conv.bias": torch.full((8,), 1e6)}
    save_file(state, model_folder / "vae.safetensors")

    load_model(model_folder, dtype=torch.float32)
    with pytest.raises(InputError, match=r"quant_conv\.bias holds NaN or values beyond float16"):
        load_model(model_folder, dtype=torch.float16)


class Malicious:
    """Unpickling it would create a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.witness),)


def test_a_checkpoint_with_code_is_not_run(official: Callable[..., Path], tmp_path: Path) -> None:
    root = official()
    torch.save({"state_dict": Malicious(tmp_path / "witness")}, root / "checkpoint-steps9000.ckpt")

    for attempt in (
        lambda: convert_official(root, tmp_path / "model"),
        lambda: load_model(root / "checkpoint-steps9000.ckpt"),
    ):
        with pytest.raises(InputError, match="contains Python code"):
            attempt()
    assert not (tmp_path / "witness").exists() and not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: (root / "checkpoint-steps9000.ckpt").unlink(),
            "holds no checkpoint.*weights download megactor",
        ),
        (lambda root: shutil.rmtree(root / "StableDiffusion"), "image_encoder there, or fetch all files"),
        (lambda root: cut(root / "checkpoint-steps9000.ckpt"), "damaged or truncated"),
        (
            lambda root: torch.save(
                {"model.diffusion_model.out.2.bias": torch.ones(4)}, root / "checkpoint-steps9000.ckpt"
            ),
            "is a Stable Diffusion single-file checkpoint, not a MegActor .v1. checkpoint or",
        ),
        (
            lambda root: torch.save(
                {"control_model.input_hint_block.0.bias": torch.ones(16)}, root / "checkpoint-steps9000.ckpt"
            ),
            "is a ControlNet, not a MegActor",
        ),
        (
            lambda root: edit_checkpoint(root, lambda s: s.pop("module.unet.conv_in.bias")),
            "missing: conv_in.bias",
        ),
        (
            lambda root: edit_checkpoint(root, lambda s: s.update({"module.x.y": torch.ones(1)})),
            "unknown keys: module.x.y",
        ),
        (
            lambda root: edit_checkpoint(root, lambda s: s["module.unet.conv_in.bias"].fill_(torch.inf)),
            "module.unet.conv_in.bias holds NaN",
        ),
    ],
    ids=[
        "no-checkpoint",
        "no-image-encoder",
        "truncated",
        "stable-diffusion",
        "controlnet",
        "key-missing",
        "key-unknown",
        "infinite",
    ],
)
def test_unusable_official_weights_are_refused_and_nothing_is_written(
    change: Callable[[Path], object], message: str, official: Callable[..., Path], tmp_path: Path
) -> None:
    root = official()
    change(root)

    with pytest.raises(InputError, match=message):
        convert_official(root, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["official"]


def edit_checkpoint(root: Path, change: Callable[[State], object]) -> None:
    content = torch.load(root / "checkpoint-steps9000.ckpt")
    change(content["state_dict"])
    torch.save(content, root / "checkpoint-steps9000.ckpt")
