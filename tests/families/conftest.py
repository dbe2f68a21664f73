"""A made-up family among the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from made_up import FAMILY

from megactor_core.families.family import Family
from megactor_core.families.registry import FAMILIES, register


@pytest.fixture(scope="module")
def made_up() -> Iterator[Family]:
    register(FAMILY)
    yield FAMILY
    del FAMILIES[FAMILY.name]
