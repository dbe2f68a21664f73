"""Families are told apart by what they publish, and what is said of each fits together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up import FAMILY as MADE_UP

from megactor_core.families.family import Family, Kind
from megactor_core.families.registry import FAMILIES, register
from megactor_core.models.networks import build_networks
from megactor_core.weights.layout import recognise, split_checkpoint
from megactor_core.weights.random_model import tiny_config

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
INDEX = json.loads((MANIFESTS / "index.json").read_text())["files"]
PUBLISHED = {"megactor": "megactor_v1_*", "megactor-sigma": "megactor_sigma_*", "xportrait": "xportrait_*"}
"""Lists of the keys that each family publishes; a new family brings its own."""


def published_keys(family: Family) -> list[str]:
    """Keys of the checkpoint; other networks have files of their own."""
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
    assert f"{family.name}-checkpoint" in {row.name for row in family.files if row.required}
    assert family.phrase.startswith(("a ", "an ")) and family.label in family.phrase
