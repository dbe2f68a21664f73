"""Identities of puppets: reproducible, valid and clearly different from each other."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from megactor_core.puppets import identity as module
from megactor_core.puppets.identity import Identity, sample_identity


def identities(seed: int, count: int) -> list[Identity]:
    rng = np.random.default_rng(seed)
    return [sample_identity(rng) for _ in range(count)]


def test_same_generator_state_gives_same_identity() -> None:
    assert identities(3, 5) == identities(3, 5)
    assert identities(3, 5) != identities(4, 5)


def test_colours_are_valid() -> None:
    for identity in identities(0, 100):
        for field in fields(identity):
            value = getattr(identity, field.name)
            if field.name.endswith("_color") or field.name in ("skin", "ink"):
                assert len(value) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in value), (
                    field.name
                )


def test_every_style_and_every_kind_of_part_appears() -> None:
    drawn = identities(1, 400)
    for name, kinds in (
        ("style", module.STYLES),
        ("hair_style", module.HAIR_STYLES),
        ("fringe", module.FRINGES),
        ("beard", module.BEARDS),
        ("glasses", module.GLASSES),
        ("clothes", module.CLOTHES),
        ("background", module.BACKGROUNDS),
    ):
        assert {getattr(identity, name) for identity in drawn} == set(kinds)


def test_identities_of_a_run_all_differ() -> None:
    assert len(set(identities(2, 300))) == 300
