"""Tiny models of random weights load and have the shape of their family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import write_random_model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_model_loads_and_no_layer_is_silent(family: str, tmp_path: Path) -> None:
    config = write_random_model(family, tmp_path / "model")

    model = load_model(tmp_path / "model")

    assert model.config == config and config.family == family
    published, names = FAMILIES[family].config, {name for name, _ in model.networks.items()}
    assert config.denoiser.in_channels == published.denoiser.in_channels
    assert ("face_control" in names) == (published.control_network is not None)
    assert ("audio_encoder" in names) == (published.audio_encoder is not None)
    assert all(
        tensor.any() for _, network in model.networks.items() for tensor in network.state_dict().values()
    )


def test_the_seed_decides(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_model("xportrait", tmp_path / name, seed)
    weights = [load_model(tmp_path / name).networks.denoiser.conv_out.weight for name in "abc"]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_nothing_is_overwritten_and_families_are_named(tmp_path: Path) -> None:
    write_random_model("megactor", tmp_path / "model")
    with pytest.raises(InputError, match="not empty"):
        write_random_model("megactor", tmp_path / "model")
    with pytest.raises(InputError, match="choose one of megactor"):
        write_random_model("sd15", tmp_path / "other")
