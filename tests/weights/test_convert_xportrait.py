"""X-Portrait's checkpoint, in one file of CompVis names, becomes a model folder with every weight."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official_layout import State, random_states
from transformers import CLIPTextConfig, CLIPTextModel
from xportrait_networks import official_name

from megactor_core.errors import InputError
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.config import OFFICIAL_VAE, ModelConfig
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.weights.compvis import vae_key
from megactor_core.weights.convert import convert_official
from megactor_core.weights.loading import load_model

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
PREFIXES = {
    "denoiser": "model.diffusion_model.",
    "reference_network": "appearance_control_model.",
    "face_control": "pose_control_model.",
    "patch_control": "local_pose_control_model.",
}
TOKENS, WIDTH = 7, 48
CHECKPOINT = "model_state-415001.th"


def small(config: UNetConfig) -> UNetConfig:
    return replace(
        config,
        block_out_channels=(32, 64),
        attention_levels=(True, False),
        cross_attention_dim=WIDTH,
    )


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    assert XPORTRAIT.control_network is not None
    return replace(
        XPORTRAIT,
        denoiser=small(XPORTRAIT.denoiser),
        reference_network=small(XPORTRAIT.reference_network),
        control_network=small(XPORTRAIT.control_network),
        vae={**OFFICIAL_VAE, "block_out_channels": [32] * 4},
        constant_context=TOKENS,
    )


@pytest.fixture(scope="module")
def states(config: ModelConfig) -> dict[str, State]:
    return random_states(config)


@pytest.fixture(scope="module")
def text_encoder() -> CLIPTextModel:
    torch.manual_seed(0)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=50,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=1,
            max_position_embeddings=TOKENS,
            bos_token_id=48,
            eos_token_id=49,
        )
    ).eval()


def official(states: dict[str, State], text_encoder: CLIPTextModel | None) -> State:
    """The published names, with what the file holds besides."""
    checkpoint: State = {}
    for network, prefix in PREFIXES.items():
        for name, value in states[network].items():
            checkpoint[prefix + official_name(name, {"1"})] = value
    manifest = json.loads((MANIFESTS / "xportrait_vae.json").read_text())
    for key in manifest:
        name = vae_key(key.removeprefix("first_stage_model."))
        value = states["vae"].get(name)
        if value is not None:  # of autoencoders of one width throughout, no block has a shortcut
            checkpoint[key] = value[..., None, None] if "attn_1" in key and value.ndim == 2 else value
    prefix = "cond_stage_model.transformer.text_model."
    if text_encoder is not None:
        for name, value in text_encoder.named_parameters():
            checkpoint[prefix + name.removeprefix("text_model.")] = value.detach().clone()
    checkpoint |= {
        prefix + "embeddings.position_ids": torch.arange(TOKENS)[None],
        "betas": torch.ones(1000),
        "appearance_control_model.input_hint_block.0.weight": torch.ones(16, 3, 3, 3),
        "appearance_control_model.output_blocks.5.1.proj_out.bias": torch.ones(32),
    }
    return checkpoint


def test_every_weight_arrives_and_the_text_encoder_leaves_its_empty_text(
    config: ModelConfig, states: dict[str, State], text_encoder: CLIPTextModel, tmp_path: Path
) -> None:
    torch.save({"state_dict": official(states, text_encoder)}, tmp_path / CHECKPOINT)

    report = convert_official(tmp_path / CHECKPOINT, tmp_path / "model", dtype=torch.float32)

    model = load_model(tmp_path / "model")
    assert model.config == report.config == config
    with torch.inference_mode():
        text = torch.tensor([[48, *[49] * (TOKENS - 1)]])
        expected = text_encoder(input_ids=text).last_hidden_state
    assert model.networks.constant_context is not None
    torch.testing.assert_close(model.networks.constant_context.tokens, expected)
    for name, network in model.networks.items():
        for key, value in network.state_dict().items():
            assert name == "constant_context" or torch.equal(value, states[name][key]), f"{name} {key}"
    assert report.recomputed == 0
    assert report.ignored == 4 + len(list(text_encoder.parameters()))
    assert not (tmp_path / "model" / "text_encoder.safetensors").exists()


def test_without_a_text_encoder_the_embedding_lies_beside_the_checkpoint(
    states: dict[str, State], tmp_path: Path
) -> None:
    torch.save(official(states, None), tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="empty text"):
        convert_official(tmp_path, tmp_path / "model")
    tokens = torch.randn(TOKENS, WIDTH)
    torch.save(tokens, tmp_path / "sd15_empty_str_embedding.pt")
    convert_official(tmp_path, tmp_path / "model", dtype=torch.float32)
    context = load_model(tmp_path / "model").networks.constant_context
    assert context is not None and torch.equal(context.tokens[0], tokens)


def test_position_tables_may_be_missing_and_other_keys_not(
    states: dict[str, State], text_encoder: CLIPTextModel, tmp_path: Path
) -> None:
    checkpoint = official(states, text_encoder)
    bare = {key: value for key, value in checkpoint.items() if not key.endswith(".pe")}
    torch.save(bare, tmp_path / "bare.th")
    report = convert_official(tmp_path / "bare.th", tmp_path / "model", dtype=torch.float32)
    assert report.recomputed == len(checkpoint) - len(bare) > 0
    table = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0."
    loaded = load_model(tmp_path / "model").networks.denoiser.state_dict()
    torch.testing.assert_close(loaded[f"{table}pos_encoder.pe"], states["denoiser"][f"{table}pos_encoder.pe"])

    torch.save({**checkpoint, "model.diffusion_model.style.weight": torch.ones(2)}, tmp_path / "more.th")
    with pytest.raises(InputError, match=r"unknown keys: model\.diffusion_model\.style\.weight"):
        convert_official(tmp_path / "more.th", tmp_path / "other")
    del checkpoint["pose_control_model.zero_convs.0.0.weight"]
    torch.save(checkpoint, tmp_path / "less.th")
    with pytest.raises(InputError, match=r"missing: controlnet_down_blocks\.0\.weight"):
        convert_official(tmp_path / "less.th", tmp_path / "other")


def test_an_autoencoder_that_another_model_has_is_stored_once(
    states: dict[str, State], text_encoder: CLIPTextModel, tmp_path: Path
) -> None:
    torch.save(official(states, text_encoder), tmp_path / CHECKPOINT)
    models = tmp_path / "models"
    first = convert_official(tmp_path / CHECKPOINT, models / "first")
    second = convert_official(tmp_path / CHECKPOINT, models / "second")
    assert first.shared_vae is None and second.shared_vae == models / "first"
    one, two = ((models / name / "vae.safetensors") for name in ("first", "second"))
    assert os.stat(one).st_ino == os.stat(two).st_ino
    load_model(models / "second")
