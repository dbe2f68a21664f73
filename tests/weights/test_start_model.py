"""What training from scratch begins with: published weights in their places, and nothing else known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import tiny_config, tiny_networks
from torch import Tensor

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.models.networks import Networks
from megactor_core.weights.loading import load_model
from megactor_core.weights.start_model import write_start_model

State = dict[str, Tensor]
CONFIG = tiny_config()


@pytest.fixture(scope="module")
def published() -> Networks:
    """Networks whose weights stand for those that are published."""
    return tiny_networks(CONFIG, seed=5)


@pytest.fixture
def states(published: Networks) -> dict[str, State]:
    denoiser = published.denoiser.state_dict()
    unet = {
        key: value
        for key, value in denoiser.items()
        if ".motion_modules." not in key and not key.startswith("condition_input_layer.")
    }
    unet["conv_in.weight"] = unet["conv_in.weight"][:, :4]
    motion = {f"module.{key}": value for key, value in denoiser.items() if ".motion_modules." in key}
    clip = {**published.image_encoder.state_dict(), "text_projection.weight": torch.ones(2, 2)}
    return {"base": unet, "motion": motion, "image_encoder": clip, "vae": published.vae.state_dict()}


def files(states: dict[str, State], folder: Path) -> dict[str, Path]:
    paths = {}
    for name, state in states.items():
        paths[name] = folder / f"{name}.safetensors"
        save_file({key: value.clone().contiguous() for key, value in state.items()}, paths[name])
    return paths


def write(states: dict[str, State], folder: Path) -> Path:
    output = folder / "start"
    write_start_model(output, **files(states, folder), config=CONFIG, dtype=torch.float32)
    return output


def test_every_published_weight_is_in_its_place(
    published: Networks, states: dict[str, State], tmp_path: Path
) -> None:
    loaded = load_model(write(states, tmp_path))
    assert loaded.config.to_dict() == CONFIG.to_dict()
    denoiser = loaded.networks.denoiser.state_dict()
    for key, value in published.denoiser.state_dict().items():
        if not key.startswith(("condition_input_layer.", "conv_in.weight")):
            assert torch.equal(denoiser[key], value), key
    torch.testing.assert_close(denoiser["conv_in.weight"][:, :4], states["base"]["conv_in.weight"])
    assert not denoiser["conv_in.weight"][:, 4:].any(), "what Stable Diffusion does not have counts nothing"
    assert all(denoiser[f"condition_input_layer.spatial_conv_layers.{i}.0.weight"].any() for i in range(4))
    for key, value in loaded.networks.reference_network.state_dict().items():
        assert torch.equal(value, states["base"][key]), key
    for name in ("vae", "image_encoder"):
        for key, value in getattr(loaded.networks, name).state_dict().items():
            assert key.endswith("position_ids") or torch.equal(value, states[name][key]), key


def test_motion_modules_of_another_length_fit(states: dict[str, State], tmp_path: Path) -> None:
    motion = states["motion"]
    for key in motion:
        if key.endswith(".pe"):
            motion[key] = motion[key][:, :3]
    loaded = load_model(write(states, tmp_path))
    tables = [v for k, v in loaded.networks.denoiser.state_dict().items() if k.endswith(".pe")]
    assert tables and all(table.shape[1] == CONFIG.denoiser.motion_max_positions for table in tables)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("base", {"conv_out.weight": None}, r"base\.safetensors: .*lacks 1 keys: conv_out\.weight"),
        ("base", {"conv_out.weight": torch.ones(3, 3)}, "is of another width: conv_out"),
        ("motion", "base", r"motion\.safetensors: is a Stable Diffusion UNet; it lacks"),
        ("image_encoder", "vae", r"is an autoencoder \(VAE\), not a CLIP image encoder"),
        ("vae", None, "holds no autoencoder"),
    ],
)
def test_files_that_do_not_fit_are_refused_and_nothing_is_written(
    name: str, change: object, problem: str, states: dict[str, State], tmp_path: Path
) -> None:
    if change is None:
        del states[name]
    elif isinstance(change, str):
        states[name] = states[change]
    else:
        states[name] = {k: v for k, v in {**states[name], **change}.items() if v is not None}
    with pytest.raises(InputError, match=problem):
        write(states, tmp_path)
    assert not (tmp_path / "start").exists()


def test_the_command_wants_weights_of_full_size(
    states: dict[str, State], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(states, tmp_path)
    options = [f"--{name.replace('_', '-')}={path}" for name, path in paths.items()]
    assert main(["weights", "start", str(tmp_path / "start"), *options]) == 2
    assert "base.safetensors: is a Stable Diffusion UNet; it lacks" in capsys.readouterr().err
