"""Every key of X-Portrait's checkpoint finds its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from megactor_core.families.xportrait import FAMILY
from megactor_core.models.networks import Networks, build_networks
from megactor_core.weights.layout import reconcile_shape, split_checkpoint

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
Shapes = dict[str, tuple[int, ...]]


def manifest(name: str) -> Shapes:
    table = json.loads((MANIFESTS / f"xportrait_{name}.json").read_text())
    return {key: tuple(shape) for key, shape in table.items()}


def mapped(shapes: Shapes, network: str) -> Shapes:
    split = split_checkpoint(shapes, FAMILY.layout)
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
    split = split_checkpoint(keys + text, FAMILY.layout)
    assert not split.unexpected
    counts = {network: len(names) for network, names in split.networks.items()}
    assert counts == {
        "denoiser": 1246,
        "reference_network": 662,
        "face_control": 340,
        "patch_control": 340,
        "vae": 248,
        "text_encoder": 1,
    }
    assert len(split.ignored) == 16 + 20 + 13 + 1
    assert sum(counts.values()) + len(split.ignored) == len(keys) + len(text)


@pytest.fixture(scope="module")
def networks() -> Networks:
    with torch.device("meta"):
        return build_networks(FAMILY.config)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("unet_temporal", "denoiser"),
        ("appearance_reference", "reference_network"),
        ("pose_controlnet", "face_control"),
        ("local_controlnet", "patch_control"),
        ("vae", "vae"),
    ],
)
def test_the_full_size_networks_have_the_published_weights(
    name: str, network: str, networks: Networks
) -> None:
    found, expected = mapped(manifest(name), network), shapes_of(getattr(networks, network))
    assert found.keys() == expected.keys()
    assert all(reconcile_shape(found[key], expected[key]) for key in expected)


def test_what_belongs_to_nothing_is_reported() -> None:
    strange = ["model.diffusion_model.resampler.weight", "style_model.weight"]
    assert split_checkpoint(strange, FAMILY.layout).unexpected == tuple(strange)
