"""A model in the official key layout converts back to what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official_layout import State
from safetensors.torch import load_file
from tiny_model import tiny_networks

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.models.config import ModelConfig
from megactor_core.weights.convert import convert_official
from megactor_core.weights.export import export_official
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config, write_random_model
from megactor_core.weights.saving import save_model
from megactor_core.weights.tensor_files import open_tensor_file


@pytest.fixture
def model(official: Callable[..., Path], tmp_path: Path) -> Path:
    convert_official(official(), tmp_path / "model", dtype=torch.float32)
    return tmp_path / "model"


def test_round_trip_keeps_every_weight_and_the_configuration(
    model: Path, tmp_path: Path, config: ModelConfig, states: dict[str, State]
) -> None:
    assert main(["weights", "export", str(model), str(tmp_path / "exported")]) == 0
    assert main(["weights", "convert", str(tmp_path / "exported"), "--output", str(tmp_path / "again"),
                 "--dtype", "float32"]) == 0  # fmt: skip
    again = load_model(tmp_path / "again")
    assert again.config == config
    for name, network in again.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, states[name][key]), f"{name} {key}"


def test_keys_are_those_of_the_official_checkpoint(
    model: Path, tmp_path: Path, official: Callable[..., Path]
) -> None:
    export_official(model, tmp_path / "exported")
    published = open_tensor_file(tmp_path / "official" / "checkpoint-steps9000.ckpt")
    exported = open_tensor_file(tmp_path / "exported" / "checkpoint.safetensors")
    left_out = ("module.vae.", "module.text_encoder.")
    assert {exported.key(name): shape for name, shape in exported.shapes.items()} == {
        published.key(name): shape
        for name, shape in published.shapes.items()
        if not published.key(name).startswith(left_out)
    }


def test_a_checkpoint_that_is_a_whole_model_keeps_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(FAMILIES["megactor-sigma-dit"].config)
    config = replace(config, inference_scheduler=replace(config.inference_scheduler, steps_offset=0))
    networks = tiny_networks(config)
    save_model(config, networks, tmp_path / "model", torch.float32)
    checkpoint = tmp_path / "exported" / "checkpoint.safetensors"

    assert main(["weights", "export", str(tmp_path / "model"), str(checkpoint.parent)]) == 0
    assert [*checkpoint.parent.iterdir()] == [checkpoint]
    assert main(["weights", "verify", str(checkpoint)]) == 0
    assert "a MegActor-Sigma DiT checkpoint" in capsys.readouterr().out
    command = ["weights", "convert", str(checkpoint), "--output", str(tmp_path / "again")]
    assert main([*command, "--dtype", "float32"]) == 0

    again = load_model(tmp_path / "again")
    assert again.config == config
    for name, network in networks.items():
        own = again.networks.module(name).state_dict()
        assert all(torch.equal(own[key], value) for key, value in network.state_dict().items()), name
    keys = open_tensor_file(checkpoint).shapes
    # as diffusers' Latte has them
    assert {"denoiser.temporal_transformer_blocks.0.attn1.to_q.weight", "denoiser.scale_shift_table"} <= {
        *keys
    }

    torch.save(load_file(checkpoint), tmp_path / "bare.ckpt")
    assert main(["weights", "convert", str(tmp_path / "bare.ckpt"), "--output", str(tmp_path / "no")]) == 2
    assert "does not tell its configuration" in capsys.readouterr().err


def test_what_the_layout_cannot_hold_is_refused(model: Path, tmp_path: Path) -> None:
    write_random_model("xportrait", tmp_path / "xportrait")
    with pytest.raises(InputError, match="is a model of xportrait; only megactor"):
        export_official(tmp_path / "xportrait", tmp_path / "exported")
    with pytest.raises(InputError, match="has its own inference_scheduler"):
        export_official(Path("demo"), tmp_path / "exported")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="is not a"):
        export_official(model, tmp_path / "mine", overwrite=True)
    assert not (tmp_path / "exported").exists()
