"""What Sigma's training begins with: known weights in their places, and a sound that adds nothing yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import tiny_networks, write_tiny_model
from torch import Tensor

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.models.networks import Networks
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config
from megactor_core.weights.start_hearing import HearingFiles, write_hearing_start

State = dict[str, Tensor]
CONFIG = tiny_config(FAMILIES["megactor-sigma"].config)
EAR = Path(__file__).parents[2] / "megactor_core" / "weights" / "mouth_reader"
SOUND = ("attn_audio", "norm_audio")


@pytest.fixture(scope="module")
def published() -> Networks:
    return tiny_networks(CONFIG, seed=5)


@pytest.fixture
def states(published: Networks) -> dict[str, State]:
    denoiser = published.denoiser.state_dict()
    new = ("motion_modules", "condition_input_layer", *SOUND)
    unet = {key: value for key, value in denoiser.items() if not any(part in key for part in new)}
    unet["conv_in.weight"] = unet["conv_in.weight"][:, :4]
    motion = {
        f"module.{key}": value
        for key, value in denoiser.items()
        if "motion_modules" in key and not key.startswith("mid_block")
    }
    context = {"tokens": published.constant_context.tokens}
    ear = published.audio_encoder.state_dict()
    return {
        "base": unet,
        "motion": motion,
        "audio_encoder": ear,
        "context": context,
        "vae": published.vae.state_dict(),
    }


def write(states: dict[str, State], folder: Path) -> Path:
    paths = {name: folder / f"{name}.safetensors" for name in states}
    for name, state in states.items():
        save_file({key: value.clone().contiguous() for key, value in state.items()}, paths[name])
    write_hearing_start(folder / "start", HearingFiles(**paths), config=CONFIG, dtype=torch.float32)
    return folder / "start"


def test_public_weights_are_in_their_places_and_what_is_new_adds_nothing(
    published: Networks, states: dict[str, State], tmp_path: Path
) -> None:
    loaded = load_model(write(states, tmp_path))
    assert loaded.config.to_dict() == CONFIG.to_dict()
    denoiser, known = loaded.networks.denoiser.state_dict(), published.denoiser.state_dict()
    for key, value in denoiser.items():
        middle = key.startswith("mid_block.motion_modules")
        if "attn_audio.to_out.0" in key or (middle and "former.proj_out." in key):
            assert not value.any(), key
        elif not any(part in key for part in ("condition_input", "conv_in", "mid_block.motion", *SOUND)):
            assert torch.equal(value, known[key]), key
    assert not denoiser["conv_in.weight"][:, 4:].any()
    assert all(denoiser[key].any() for key in denoiser if key.endswith("attn_audio.to_q.weight"))
    for name in ("reference_network", "vae", "audio_encoder", "constant_context"):
        for key, value in loaded.networks.module(name).state_dict().items():
            expected = states["base" if name == "reference_network" else name.replace("constant_", "")][key]
            assert torch.equal(value, expected), key


def test_a_model_that_heard_nothing_hears_with_an_ear_and_does_what_it_did(tmp_path: Path) -> None:
    base = load_model(write_tiny_model(tmp_path / "base"))
    files = HearingFiles(tmp_path / "base", EAR)
    write_hearing_start(tmp_path / "start", files, dtype=torch.float32)
    start = load_model(tmp_path / "start")
    assert (start.config.family, start.config.driving_modes[0]) == ("megactor-sigma", "eyes_mouth")
    assert start.config.audio_encoder.window_positions
    sample = torch.randn(1, base.config.denoiser.in_channels, 2, 8, 8)
    tokens = torch.randn(1, 4, base.config.denoiser.cross_attention_dim)
    outputs = []
    for model in (base, start):
        denoiser = model.networks.denoiser
        audio = {}
        if model is start:
            audio["audio"] = denoiser.audio_keys_values(torch.randn(2, 10, start.config.denoiser.audio_dim))
        outputs.append(denoiser(sample, torch.tensor([300]), denoiser.context_keys_values(tokens), **audio))
    assert torch.equal(*outputs)
    # once more on what it made: another ear, the rest as it is
    write_hearing_start(tmp_path / "again", replace(files, base=tmp_path / "start"), dtype=torch.float32)
    again = load_model(tmp_path / "again").networks
    kept = again.denoiser.state_dict().items()
    assert all(
        torch.equal(v, start.networks.denoiser.state_dict()[k]) for k, v in kept if "attn_audio" not in k
    )


def test_files_that_do_not_fit_are_refused_and_nothing_is_written(
    states: dict[str, State], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"audio_encoder\.safetensors: is an autoencoder"):
        write({**states, "audio_encoder": states["vae"]}, tmp_path)
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("base", "audio_encoder")}
    with pytest.raises(InputError, match=r"--motion: is needed for megactor-sigma"):
        write_hearing_start(tmp_path / "start", HearingFiles(**paths), config=CONFIG)
    assert not (tmp_path / "start").exists()


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_model(tmp_path / "base")
    options = ["--family", "megactor-sigma", "--base", str(tmp_path / "base")]
    assert main(["weights", "start", str(tmp_path / "start"), *options]) == 2
    assert "--audio-encoder: is needed for megactor-sigma" in capsys.readouterr().err
