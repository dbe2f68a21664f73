"""MegActor-Sigma's checkpoint and what lies beside it become a model folder with every weight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from official_layout import State, old_vae_names, random_states
from safetensors.torch import save_file

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.weights.convert import convert_official
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config

CONFIG = tiny_config(MEGACTOR_SIGMA)
HEADS = {"denoiser": "module.unet.", "reference_network": "module.appearance_encoder."}
OPENAI = {
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "self_attn_layer_norm": "attn_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "final_layer_norm": "mlp_ln",
}


@pytest.fixture(scope="module")
def states() -> dict[str, State]:
    return random_states(CONFIG)


def whisper_of_openai(state: State) -> State:
    renamed: State = {
        "encoder.ln_post.weight": torch.ones(8),
        "decoder.positional_embedding": torch.ones(4, 8),
    }
    for key, value in openai_names(state).items():
        renamed[f"encoder.{key}"] = value
    return renamed


def openai_names(state: State) -> State:
    renamed: State = {}
    for key, value in state.items():
        if key.startswith("layers."):
            _, layer, rest = key.split(".", 2)
            part, parameter = rest.rsplit(".", 1)
            key = f"blocks.{layer}.{OPENAI[part]}.{parameter}"
        renamed[key.replace("embed_positions.weight", "positional_embedding")] = value
    return renamed


def whisper_of_transformers(state: State) -> State:
    renamed: State = {"model.encoder.layer_norm.weight": torch.ones(8)}
    renamed |= {f"model.encoder.{key}": value for key, value in state.items()}
    renamed["model.decoder.layers.0.encoder_attn.q_proj.weight"] = torch.ones(8, 8)
    return renamed


def write(root: Path, states: dict[str, State], transformers: bool = False) -> Path:
    """The published files, with another one among them that is none of ours."""
    root.mkdir(parents=True)
    checkpoint = {head + key: value for name, head in HEADS.items() for key, value in states[name].items()}
    checkpoint |= {f"module.vae.{key}": value + 1 for key, value in states["vae"].items()}
    torch.save({"global_step": 5, "state_dict": checkpoint}, root / "megactor-sigma.ckpt")
    torch.save(states["constant_context"]["tokens"][0], root / "sd15_empty_str_embedding.pt")
    torch.save({"backbone.weight": torch.ones(3)}, root / "swint.pth")
    for network, place in (("denoiser", "StableDiffusion/unet"), ("vae", "sd-vae-ft-mse")):
        config = getattr(CONFIG, network)
        groups = config["norm_num_groups"] if network == "vae" else config.norm_num_groups
        published = {"norm_num_groups": groups}
        if network == "denoiser":
            published["attention_head_dim"] = config.num_attention_heads
        (root / place).mkdir(parents=True)
        (root / place / "config.json").write_text(json.dumps(published))
    torch.save(old_vae_names(states["vae"], False), root / "sd-vae-ft-mse" / "diffusion_pytorch_model.bin")
    if transformers:
        (root / "whisper-tiny").mkdir()
        whisper = whisper_of_transformers(states["audio_encoder"])
        save_file(whisper, root / "whisper-tiny" / "model.safetensors")
    else:
        whisper = whisper_of_openai(states["audio_encoder"])
        torch.save({"dims": {"n_mels": 80}, "model_state_dict": whisper}, root / "whisper_tiny.pt")
    return root


@pytest.mark.parametrize("transformers", [False, True])
def test_round_trip_keeps_every_weight(transformers: bool, tmp_path: Path, states: dict[str, State]) -> None:
    root = write(tmp_path / "official", states, transformers)

    report = convert_official(root, tmp_path / "model", dtype=torch.float32)

    model = load_model(tmp_path / "model")
    assert model.config == report.config
    assert model.config.family == "megactor-sigma" and model.config.denoiser == CONFIG.denoiser
    assert {name for name, _ in model.networks.items()} == states.keys()
    for name, network in model.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, states[name][key]), f"{name} {key}"


def test_a_model_folder_with_the_names_of_openai_is_read(tmp_path: Path, states: dict[str, State]) -> None:
    convert_official(write(tmp_path / "official", states), tmp_path / "model", dtype=torch.float32)
    save_file(openai_names(states["audio_encoder"]), tmp_path / "model" / "audio_encoder.safetensors")

    encoder = load_model(tmp_path / "model").networks.audio_encoder

    assert encoder is not None
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, states["audio_encoder"][key])


def test_the_command_names_the_model_by_its_family(
    tmp_path: Path, states: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "models"))
    write(tmp_path / "models" / "official" / "megactor-sigma", states)

    assert main(["weights", "convert", "megactor-sigma", "--dtype", "float32"]) == 0
    assert load_model("megactor-sigma").config.family == "megactor-sigma"


@pytest.mark.parametrize("file", ["whisper_tiny.pt", "sd15_empty_str_embedding.pt"])
def test_a_file_that_is_missing_is_named_with_its_address(
    file: str, tmp_path: Path, states: dict[str, State]
) -> None:
    root = write(tmp_path / "official", states)
    (root / file).unlink()

    with pytest.raises(InputError, match=rf"{file}.*https://huggingface.co.*download megactor-sigma"):
        convert_official(root, tmp_path / "model")


def test_another_file_in_the_place_of_whisper_is_refused(tmp_path: Path, states: dict[str, State]) -> None:
    root = write(tmp_path / "official", states)
    torch.save(states["denoiser"], root / "whisper_tiny.pt")

    with pytest.raises(InputError, match="is a MegActor-Sigma denoiser, not a Whisper speech model"):
        convert_official(root, tmp_path / "model")
