"""Families are told apart by what they publish, and what is said of each fits together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import LatteTransformer3DModel, PixArtTransformer2DModel
from made_up import FAMILY as MADE_UP

from megactor_core.families.family import Family, Kind
from megactor_core.families.registry import FAMILIES, register
from megactor_core.models.networks import build_networks
from megactor_core.weights.layout import recognise, split_checkpoint
from megactor_core.weights.pixart import diffusers_key
from megactor_core.weights.random_model import tiny_config

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
INDEX = json.loads((MANIFESTS / "index.json").read_text())["files"]
PUBLISHED = {"megactor": "megactor_v1_*", "megactor-sigma": "megactor_sigma_*", "xportrait": "xportrait_*"}
"""Lists of the keys that each family publishes; a new family brings its own."""


def published_keys(family: Family) -> list[str]:
    """Keys of the checkpoint; other networks have files of their own. Of a family that nobody published those
    that ``weights export`` writes."""
    if not family.is_published:
        with torch.device("meta"):
            networks = build_networks(tiny_config(family.config))
        prefix = {network: prefix for prefix, network in family.layout.parts.items()}
        return [prefix[name] + diffusers_key(key) for name, n in networks.items() for key in n.state_dict()]
    found: list[str] = []
    for path in MANIFESTS.glob(f"{PUBLISHED[family.name]}.json"):
        prefix = INDEX[path.name]["checkpoint_prefix"]
        keys = [prefix + key for key in json.loads(path.read_text())]
        if not split_checkpoint(keys, family.layout).unexpected:
            found += keys
    return found


def denoiser_keys(family: Family) -> list[str]:
    """Keys of a file with the denoiser alone, by our names."""
    return [*split_checkpoint(published_keys(family), family.layout).networks["denoiser"]]


def claims(keys: Iterable[str], part: bool = False) -> list[str]:
    """Families whose signature fits, whichever is asked first."""
    keys = list(keys)
    return [
        family.name
        for family in FAMILIES.values()
        if any(kind.fits(keys) for kind in (family.parts if part else family.checkpoints))
    ]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_no_family_claims_what_another_publishes(family: Family) -> None:
    keys, denoiser = published_keys(family), denoiser_keys(family)

    assert claims(keys) == [family.name] and recognise(keys).name == family.name
    assert claims(denoiser, part=True) == [family.name] * bool(family.parts)
    assert not family.parts or recognise(denoiser) in family.parts


def test_public_transformers_are_claimed_by_no_family() -> None:
    shape = {"num_attention_heads": 2, "attention_head_dim": 8, "cross_attention_dim": 16, "num_layers": 1}
    shape |= {"caption_channels": 8, "norm_type": "ada_norm_single", "sample_size": 8}
    with torch.device("meta"):
        pixart = PixArtTransformer2DModel(**shape).state_dict()
        latte = LatteTransformer3DModel(in_channels=4, patch_size=2, **shape).state_dict()

    for keys, name in ((pixart, "a PixArt transformer"), (latte, "a Latte transformer")):
        assert recognise(keys).description == name and not claims(keys) and not claims(keys, part=True)
    lora = [f"transformer.{key.removesuffix('weight')}lora_A.weight" for key in pixart if "to_q" in key]
    assert recognise(lora).name == "lora"


def test_a_family_that_claims_too_much_is_noticed() -> None:
    greedy = replace(MADE_UP, checkpoints=(Kind("made-up", "a greedy checkpoint", (".unet.",)),))
    register(greedy)
    try:
        assert claims(published_keys(FAMILIES["megactor"])) == ["megactor", "made-up"]
    finally:
        del FAMILIES["made-up"]


def test_two_families_cannot_have_the_same_signature() -> None:
    signature = FAMILIES["xportrait"].checkpoints[1]
    with pytest.raises(ValueError, match="could not be told from those of xportrait"):
        register(replace(MADE_UP, checkpoints=(replace(signature, name="made-up"),)))
    assert "made-up" not in FAMILIES


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_is_said_of_a_family_fits_together(family: Family) -> None:
    with torch.device("meta"):
        networks = {name for name, _ in build_networks(tiny_config(family.config)).items()}

    assert family.places.keys() == networks
    assert {*family.layout.parts.values()} - {"text_encoder"} <= networks and family.own_files <= networks
    assert {kind.name for kind in family.checkpoints} == {family.name}
    assert all(row.family == family.name and row.file.startswith(f"{family.folder}/") for row in family.files)
    assert family.is_published or (family.exported and family.layout.whole)
    assert all(row.required for row in family.files if row.name == f"{family.name}-checkpoint")
    assert family.phrase.startswith(("a ", "an ")) and family.label in family.phrase
