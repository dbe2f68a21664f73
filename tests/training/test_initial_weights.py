"""What a training starts from: fresh weights, a model, or what of a model fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from megactor_core.errors import InputError
from megactor_core.training.config.tasks import DenoiserTaskConfig
from megactor_core.training.tasks.registry import initial_networks
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import write_random_model

ROOM = 6
"""Channels of the other autoencoder's latents; the first has 4."""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    write_random_model("megactor", tmp_path / "first")
    return tmp_path / "first"


@pytest.fixture
def config(first: Path, tmp_path: Path) -> DenoiserTaskConfig:
    """A model like the first one on the latents of another autoencoder."""
    known = load_model(first).config
    vae = {**known.vae, "latent_channels": ROOM}
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "vae.json").write_text(json.dumps(vae))
    save_file(AutoencoderKL(**vae).state_dict(), folder / "vae.safetensors")
    # noisy latent and reference latent
    wider = replace(
        known.denoiser, in_channels=known.denoiser.in_channels + 2 * (ROOM - 4), out_channels=ROOM
    )
    model = replace(
        known, denoiser=wider, reference_network=replace(known.reference_network, in_channels=ROOM)
    )
    return DenoiserTaskConfig(model=model, initial_weights=first, vae=folder)


def test_a_model_with_other_latents_takes_what_fits(
    config: DenoiserTaskConfig, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, networks = initial_networks(config, 0)
    assert model.latent_space.channels == ROOM
    known = load_model(first).networks
    new = {
        "denoiser": {"conv_in.weight", "conv_out.weight", "conv_out.bias"},
        "reference_network": {"conv_in.weight"},
    }
    for name, changed in new.items():
        before, after = known.module(name).state_dict(), networks.module(name).state_dict()
        assert {key for key in after if before[key].shape != after[key].shape} == changed
        assert all(torch.equal(before[key], after[key]) for key in after.keys() - changed)
    count = len(networks.reference_network.state_dict())
    assert f"{count - 1} of {count} tensors of reference_network" in capsys.readouterr().err


def test_a_model_of_other_widths_is_refused(config: DenoiserTaskConfig) -> None:
    narrow = replace(config.model.denoiser, block_out_channels=(24, 24), norm_num_groups=3)
    other = config.model_copy(update={"model": replace(config.model, denoiser=narrow)})
    with pytest.raises(InputError, match=r"first: has \d+ of \d+ tensors of denoiser .*less than half"):
        initial_networks(other, 0)
