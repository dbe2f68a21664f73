"""All families, by name. A new family is a file beside this one and its name in the list below."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from . import megactor, megactor_sigma, megactor_sigma_dit, xportrait
from .family import Family
from .features import Feature

FAMILIES: dict[str, Family] = {}
"""Families by name, in the order of menus, lists and recognition; the first is meant where none is named."""


def register(family: Family) -> None:
    """Make a family known to everything that loads, lists, downloads, converts, animates and trains.

    Raises:
        ValueError: there is one of this name, or with the same signature of its checkpoint.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name} already")
    signatures = {(kind.present, kind.absent) for kind in family.checkpoints}
    for other in FAMILIES.values():
        if any((kind.present, kind.absent) in signatures for kind in other.checkpoints):
            raise ValueError(f"checkpoints of {family.name} could not be told from those of {other.name}")
    FAMILIES[family.name] = family


for _module in (megactor, megactor_sigma, xportrait, megactor_sigma_dit):
    register(_module.FAMILY)


def default_family() -> Family:
    """The family that is meant where none is named."""
    return next(iter(FAMILIES.values()))


def find_family(name: str) -> Family:
    """The family of a name.

    Raises:
        InputError: no such family.
    """
    if name not in FAMILIES:
        raise InputError(f"family {name!r}", "is not known", f"choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def families_with(feature: Feature) -> tuple[Family, ...]:
    """Families whose published model has a feature, see ``features``."""
    return tuple(family for family in FAMILIES.values() if feature(family.config))


def labels_of(families: Iterable[Family]) -> list[str]:
    """Labels of families, each once: two may be one system with other networks."""
    return list(dict.fromkeys(family.label for family in families))


def labels_with(feature: Feature, last: str = "and") -> str:
    """Labels of the families with a feature, as a list in a sentence: "A, B and C"."""
    *most, final = labels_of(families_with(feature))
    return f"{', '.join(most)} {last} {final}" if most else final


def model_with(feature: Feature) -> str:
    """Models to use instead, in a remedy: "an A or a B model"."""
    return " or ".join(dict.fromkeys(family.phrase for family in families_with(feature))) + " model"
