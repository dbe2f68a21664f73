"""The golden folder the parity tests compare with: `pytest tests/parity --golden DIR`."""

from __future__ import annotations

from pathlib import Path

import pytest
from formula import Case, Golden


def golden_cases(folder: Path, family: str, function: str) -> list[Case]:
    """Cases of one function of a family.

    Args:
        folder: of the family itself, or the parent of several families; it may hold others only.
        family: as named in ``golden.json``.
        function: of the cases.
    """
    folders = [folder] if (folder / "golden.json").exists() else sorted(folder.iterdir())
    goldens = [Golden(path) for path in folders if (path / "golden.json").exists()]
    assert goldens, f"{folder} holds no golden.json"
    return [case for golden in goldens if golden.family == family for case in golden.cases(function)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `case` argument, marked with a function's name, runs on every case of that function."""
    if "case" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("golden_case")
        assert marker is not None
        family = marker.kwargs.get("family", "megactor_v1")
        cases = golden_cases(metafunc.config.getoption("--golden"), family, *marker.args)
        metafunc.parametrize("case", cases, ids=lambda case: case.name)
