"""Published key names fit our networks, and files are told apart by their keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.families import megactor, megactor_sigma
from megactor_core.models.config import OFFICIAL_IMAGE_ENCODER, OFFICIAL_VAE, ModelConfig
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.networks import Networks, build_networks
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.weights.layout import check_keys, map_key, recognise, split_checkpoint
from megactor_core.weights.shapes import (
    audio_encoder_config,
    driving_encoder_config,
    image_encoder_config,
    unet_config,
    vae_config,
)

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
INDEX = json.loads((MANIFESTS / "index.json").read_text())["files"]
FAMILIES = {"megactor_v1": megactor.FAMILY, "megactor_sigma": megactor_sigma.FAMILY}
MEGACTOR_SIGMA = megactor_sigma.CONFIG
NETWORK_MANIFESTS = {
    "megactor_v1_unet3d.json": "denoiser",
    "megactor_v1_appearance_encoder.json": "reference_network",
    "megactor_v1_vae.json": "vae",
    "megactor_v1_clip_image_encoder_vitl14.json": "image_encoder",
    "megactor_sigma_unet.json": "denoiser",
    "megactor_sigma_appearance_encoder.json": "reference_network",
    "megactor_sigma_vae.json": "vae",
}
CHECKPOINT_MANIFESTS = sorted(name for name, entry in INDEX.items() if entry["checkpoint_prefix"])

Shapes = dict[str, tuple[int, ...]]


def manifest(name: str) -> Shapes:
    return {key: tuple(shape) for key, shape in json.loads((MANIFESTS / name).read_text()).items()}


@pytest.fixture(scope="module")
def official_networks() -> dict[str, Networks]:
    with torch.device("meta"):
        return {name: build_networks(family.config) for name, family in FAMILIES.items()}


def family_of(manifest: str) -> str:
    (family,) = (family for family in FAMILIES if manifest.startswith(family))
    return family


def shapes_of(networks: dict[str, Networks], name: str, network: str) -> Shapes:
    """Of the network of ours that a manifest's family has."""
    state = getattr(networks[family_of(name)], network).state_dict()
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@pytest.mark.parametrize("name", NETWORK_MANIFESTS)
def test_full_size_networks_have_exactly_the_published_keys_and_shapes(
    name: str, official_networks: dict[str, Networks]
) -> None:
    ours = shapes_of(official_networks, name, NETWORK_MANIFESTS[name])

    assert ours == manifest(name)
    assert len(ours) == INDEX[name]["keys"]


@pytest.mark.parametrize("name", CHECKPOINT_MANIFESTS)
def test_every_key_of_a_published_checkpoint_is_mapped(
    name: str, official_networks: dict[str, Networks]
) -> None:
    prefix = INDEX[name]["checkpoint_prefix"]

    split = split_checkpoint((prefix + key for key in manifest(name)), FAMILIES[family_of(name)].layout)

    assert not split.unexpected and not split.ignored
    ((network, mapped),) = split.networks.items()
    assert mapped == {key: prefix + key for key in manifest(name)}
    assert mapped.keys() <= shapes_of(official_networks, name, network).keys()


def test_of_whisper_the_encoder_is_used_without_its_final_norm(
    official_networks: dict[str, Networks],
) -> None:
    published = manifest("megactor_sigma_whisper_tiny.json")
    ours = shapes_of(official_networks, "megactor_sigma", "audio_encoder")

    mapped = {name: key for key in published if (name := map_key("audio_encoder", key))}

    assert {name: published[key] for name, key in mapped.items()} == ours
    unused = published.keys() - mapped.values()
    assert all(key.startswith(("decoder.", "encoder.ln_post.")) for key in unused)
    assert audio_encoder_config(ours) == MEGACTOR_SIGMA.audio_encoder


def test_whisper_under_the_names_of_transformers(official_networks: dict[str, Networks]) -> None:
    from transformers import WhisperConfig, WhisperModel

    with torch.device("meta"):
        model = WhisperModel(WhisperConfig(encoder_layers=4, decoder_layers=1, d_model=384, vocab_size=51865))
    for prefix in ("", "model."):
        keys = [prefix + key for key in model.state_dict()]
        mapped = {name for key in keys if (name := map_key("audio_encoder", key))}
        assert mapped == shapes_of(official_networks, "megactor_sigma", "audio_encoder").keys()
        assert recognise(keys).name == "whisper"


def test_the_text_encoder_of_a_checkpoint_is_ignored_and_the_rest_reported() -> None:
    keys = ["module.text_encoder.text_model.final_layer_norm.weight", "module.resampler.weight"]
    split = split_checkpoint(keys, megactor.FAMILY.layout)

    assert split.ignored == ("module.text_encoder.text_model.final_layer_norm.weight",)
    assert split.unexpected == ("module.resampler.weight",)


def test_old_autoencoder_names_map_onto_every_new_one() -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for key in manifest("megactor_v1_vae.json"):
        published = key
        for new_part, old_part in old.items():
            published = published.replace(f".{new_part}.", f".{old_part}.")
        assert map_key("vae", published) == key
        assert ("mid_block.attentions" in key and "group_norm" not in key) == (published != key)


@pytest.mark.parametrize(
    "key",
    [
        "vision_model.embeddings.position_ids",
        "text_projection.weight",
        "text_model.final_layer_norm.bias",
        "logit_scale",
    ],
)
def test_the_rest_of_a_full_clip_file_is_dropped(key: str) -> None:
    assert map_key("image_encoder", key) is None


def test_the_configuration_of_sigma_is_read_off_the_published_shapes() -> None:
    denoiser, encoder = manifest("megactor_sigma_unet.json"), MEGACTOR_SIGMA.driving_encoder
    assert encoder is not None

    assert unet_config(denoiser, {}, MEGACTOR_SIGMA.denoiser) == MEGACTOR_SIGMA.denoiser
    assert driving_encoder_config(denoiser, encoder) == encoder
    reference = MEGACTOR_SIGMA.reference_network
    assert unet_config(manifest("megactor_sigma_appearance_encoder.json"), {}, reference) == reference


def test_the_official_configuration_is_read_off_the_published_shapes() -> None:
    denoiser = manifest("megactor_v1_unet3d.json")

    assert unet_config(denoiser, {}, UNetConfig()) == UNetConfig()
    assert driving_encoder_config(denoiser, DrivingEncoderConfig()) == DrivingEncoderConfig()
    reference = ModelConfig().reference_network
    assert unet_config(manifest("megactor_v1_appearance_encoder.json"), {}, reference) == reference
    assert vae_config(manifest("megactor_v1_vae.json"), {}, OFFICIAL_VAE) == OFFICIAL_VAE
    assert (
        image_encoder_config(
            manifest("megactor_v1_clip_image_encoder_vitl14.json"), {}, OFFICIAL_IMAGE_ENCODER
        )
        == OFFICIAL_IMAGE_ENCODER
    )


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (
            ["module.unet.conv_in.weight", "module.unet.condition_input_layer.refer_convs.0.weight"],
            "megactor",
        ),
        (["conv_in.weight", "condition_input_layer.refer_convs.0.weight"], "denoiser"),
        (
            [
                "module.unet.condition_input_layer.spatial_conv_out.weight",
                "module.unet.down_blocks.0.attentions.0.transformer_blocks.0.attn_audio.to_k.weight",
                "module.appearance_encoder.conv_in.weight",
            ],
            "megactor-sigma",
        ),
        (["mid_block.attentions.0.transformer_blocks.0.attn_audio.to_k.weight"], "megactor-sigma-denoiser"),
        (
            [
                "appearance_control_model.time_embed.0.weight",
                "model.diffusion_model.input_blocks_motion_module.0.0.temporal_transformer.norm.weight",
                "first_stage_model.encoder.conv_in.weight",
            ],
            "xportrait",
        ),
        (["model.diffusion_model.input_blocks.0.0.weight"], "stable_diffusion"),
        (["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"], "motion_modules"),
        (["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"], "lora"),
        (["time_embedding.linear_1.weight", "conv_in.weight", "conv_out.weight"], "unet"),
        (
            ["encoder.down.0.block.0.norm1.weight", "encoder.conv_in.weight", "decoder.conv_in.weight"],
            "ldm_vae",
        ),
        (["text_model.embeddings.token_embedding.weight"], "text_encoder"),
        (["encoder.blocks.0.attn.query.weight", "encoder.conv1.weight"], "whisper"),
        (["weight", "bias"], "unknown"),
    ],
)
def test_families_are_told_apart_by_their_keys(keys: list[str], name: str) -> None:
    assert recognise(keys).name == name


@pytest.mark.parametrize("name", NETWORK_MANIFESTS)
def test_published_networks_are_recognised(name: str) -> None:
    expected = "megactor-sigma-denoiser" if name == "megactor_sigma_unet.json" else NETWORK_MANIFESTS[name]
    assert recognise(manifest(name)).name == expected


def test_an_error_lists_the_first_few_keys_and_says_that_there_are_more() -> None:
    expected = {f"layer.{i}.weight": (2, 2) for i in range(9)}
    found = {"layer.0.weight": (2, 3), "layer.1.weight": (2, 2), "other": (1,)}

    with pytest.raises(InputError) as caught:
        check_keys("model.safetensors", found, expected, "denoiser")

    message = str(caught.value)
    assert "7 keys missing: layer.2.weight, layer.3.weight" in message and "layer.6.weight, ..." in message
    assert "1 keys unknown: other" in message and "layer.0.weight [2, 3] instead of [2, 2]" in message
    assert "\n" not in message
