"""Weights are read out of what training loops, compilers and EMA put around them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_layout import State
from safetensors.torch import load_file, save_file
from torch import nn

from megactor_core.errors import InputError
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.networks import build_networks
from megactor_core.weights.base_model import swap_base
from megactor_core.weights.convert import convert_official
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config
from megactor_core.weights.tensor_files import open_tensor_file
from megactor_core.weights.wrappers import unwrap

WEIGHTS = {"conv_in.weight": torch.ones(8, 4, 3, 3), "down_blocks.0.resnets.0.norm1.weight": torch.ones(8)}
OTHER = {key: torch.zeros_like(value) for key, value in WEIGHTS.items()}
PREFIXES = (
    "module.", "module.module.", "_orig_mod.", "module._orig_mod.", "_forward_module.", "model.", "net.",
    "ema.", "model_ema.", "params.", "state_dict.model.", "model.module.",
)  # fmt: skip
NESTS = (
    "state_dict",
    "model_state_dict",
    "module",
    "model",
    "net",
    "params",
    "params_ema",
    "ema",
    "ema_model",
)


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def read(path: Path) -> State:
    file = open_tensor_file(path)
    return {name: tensor.clone() for name, tensor in file.stream(file.shapes)}


def assert_is(state: State, expected: State) -> None:
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_all_names_is_taken_off(prefix: str, tmp_path: Path) -> None:
    save_file(prefixed(prefix, WEIGHTS), tmp_path / "a.safetensors")
    torch.save(prefixed(prefix, WEIGHTS), tmp_path / "a.ckpt")
    assert_is(read(tmp_path / "a.safetensors"), WEIGHTS)
    assert_is(read(tmp_path / "a.ckpt"), WEIGHTS)


@pytest.mark.parametrize("nest", NESTS)
def test_weights_are_found_beside_what_training_needs(nest: str, tmp_path: Path) -> None:
    content = {
        nest: WEIGHTS,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []},
        "lr_scheduler": {"last": torch.tensor(3)},
        "epoch": 3,
        "step": torch.tensor(7),
        "loss": np.float64(0.1),
        "args": argparse.Namespace(data=Path("data")),
        "ds_config": {"zero": {"stage": 2}},
    }
    torch.save(content, tmp_path / "a.ckpt")
    assert_is(read(tmp_path / "a.ckpt"), WEIGHTS)


@pytest.mark.parametrize(
    "content",
    [
        {"model": OTHER, "ema": WEIGHTS},
        {"state_dict": OTHER, "ema_state_dict": WEIGHTS},
        {"module": prefixed("module.", OTHER), "ema": WEIGHTS},
        {**prefixed("online_model.", OTHER), **prefixed("ema_model.", WEIGHTS), "step": torch.tensor(4)},
    ],
)
def test_complete_averaged_weights_are_taken_and_said_to_be(content: dict[str, Any], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    assert_is(read(tmp_path / "a.ckpt"), WEIGHTS)
    assert "averaged weights (ema" in open_tensor_file(tmp_path / "a.ckpt").choice


@pytest.mark.parametrize(
    "averaged",
    [{"conv_in.weight": torch.zeros(8, 4, 3, 3)}, {"decay": 0.9, "shadow_params": [torch.ones(2)]}],
)
def test_incomplete_averaged_weights_are_not(averaged: dict[str, Any], tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS, "ema": averaged}, tmp_path / "a.ckpt")
    assert_is(read(tmp_path / "a.ckpt"), WEIGHTS)
    assert "were taken" not in open_tensor_file(tmp_path / "a.ckpt").choice


@pytest.mark.parametrize(
    "names",
    [
        ["model.diffusion_model.out.2.bias", "first_stage_model.quant_conv.bias", "betas"],
        ["model.diffusion_model.out.2.bias"],
        ["model.encoder.layers.0.fc1.weight", "proj_out.weight"],
        ["vision_model.embeddings.class_embedding", "logit_scale"],
        ["input_blocks_motion_module.0.0.temporal_transformer.norm.weight"],
    ],
)
def test_names_that_are_a_networks_own_stay(names: list[str]) -> None:
    assert unwrap(names).names == {name: name for name in names}


@pytest.mark.parametrize("prefix", ["unet.", "diffusion_model.", "module.unet.", "unet._orig_mod.", "model."])
def test_a_base_under_any_of_its_prefixes(prefix: str, tmp_path: Path) -> None:
    denoiser = build_networks(tiny_config(XPORTRAIT)).denoiser
    spatial = {k: torch.randn(v.shape) for k, v in denoiser.state_dict().items() if ".motion_mod" not in k}
    save_file(prefixed(prefix, spatial), tmp_path / "base.safetensors")
    assert swap_base(denoiser, tmp_path / "base.safetensors") == len(spatial)
    assert all(torch.equal(denoiser.state_dict()[key], value) for key, value in spatial.items())


def test_a_base_beyond_the_denoisers_type_is_refused(tmp_path: Path) -> None:
    denoiser: nn.Module = build_networks(tiny_config(XPORTRAIT)).denoiser.half()
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    spatial = {k: torch.randn(v.shape) for k, v in before.items() if ".motion_mod" not in k}
    spatial["conv_in.bias"][0] = 1e6
    save_file(spatial, tmp_path / "base.safetensors")
    with pytest.raises(InputError, match=r"conv_in\.bias holds NaN or values beyond float16"):
        swap_base(denoiser, tmp_path / "base.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in denoiser.state_dict().items())


@pytest.mark.parametrize("wrapped", ["deepspeed", "compiled", "averaged"])
def test_a_wrapped_checkpoint_is_converted(
    wrapped: str, official: Callable[..., Path], states: dict[str, State], tmp_path: Path
) -> None:
    root = official(wrapped=False)
    path = root / "checkpoint-steps9000.ckpt"
    state = torch.load(path)
    torch.save(
        {
            "deepspeed": {"module": prefixed("module.", state), "ds_version": "0.9"},
            "compiled": {"model": {k.replace("unet.", "unet._orig_mod."): v for k, v in state.items()}},
            "averaged": {"model": {k: torch.zeros_like(v) for k, v in state.items()}, "ema": state},
        }[wrapped],
        path,
    )
    report = convert_official(root, tmp_path / "model", dtype=torch.float32)
    assert ("averaged" in report.choice) == (wrapped == "averaged")
    assert_is(load_model(tmp_path / "model").networks.denoiser.state_dict(), states["denoiser"])


def test_a_wrapped_network_of_a_model_folder_is_read(official: Callable[..., Path], tmp_path: Path) -> None:
    convert_official(official(), tmp_path / "model")
    path = tmp_path / "model" / "vae.safetensors"
    state = load_file(path)
    save_file(prefixed("_orig_mod.", state), path)
    assert_is(load_model(tmp_path / "model", dtype=torch.float16).networks.vae.state_dict(), state)
