"""Every key of X-Portrait's checkpoint finds its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel

from megactor_core.models.config import OFFICIAL_VAE
from megactor_core.weights.compvis import split_xportrait
from megactor_core.weights.layout import reconcile_shape

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
Shapes = dict[str, tuple[int, ...]]


def manifest(name: str) -> Shapes:
    table = json.loads((MANIFESTS / f"xportrait_{name}.json").read_text())
    return {key: tuple(shape) for key, shape in table.items()}


def mapped(shapes: Shapes, network: str) -> Shapes:
    split = split_xportrait(shapes)
    assert not split.unexpected
    return {name: shapes[key] for name, key in split.networks[network].items()}


def shapes_of(network: torch.nn.Module) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def test_every_key_is_mapped_once_or_known_to_be_unused() -> None:
    names = ("unet_temporal", "appearance_reference", "pose_controlnet", "local_controlnet", "vae")
    keys = [key for name in (*names, "schedule_buffers") for key in manifest(name)]
    text = [
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ]
    split = split_xportrait(keys + text)
    assert not split.unexpected
    counts = {network: len(names) for network, names in split.networks.items()}
    assert counts == {
        "denoiser": 1246,
        "reference_network": 682,
        "face_control": 340,
        "patch_control": 340,
        "vae": 248,
        "text_encoder": 1,
    }
    assert len(split.ignored) == 16 + 13 + 1
    assert sum(counts.values()) + len(split.ignored) == len(keys) + len(text)


@pytest.mark.parametrize(
    ("name", "network"), [("pose_controlnet", "face_control"), ("local_controlnet", "patch_control")]
)
def test_the_control_networks_are_diffusers_controlnets(name: str, network: str) -> None:
    with torch.device("meta"):
        controlnet = ControlNetModel(cross_attention_dim=768, attention_head_dim=8)
    assert mapped(manifest(name), network) == shapes_of(controlnet)


def test_the_autoencoder_is_stable_diffusions() -> None:
    with torch.device("meta"):
        vae = AutoencoderKL(**OFFICIAL_VAE)
    found, expected = mapped(manifest("vae"), "vae"), shapes_of(vae)
    assert found.keys() == expected.keys()
    assert all(reconcile_shape(found[key], expected[key]) for key in found)


def test_what_belongs_to_nothing_is_reported() -> None:
    strange = ["model.diffusion_model.resampler.weight", "style_model.weight"]
    assert split_xportrait(strange).unexpected == tuple(strange)
