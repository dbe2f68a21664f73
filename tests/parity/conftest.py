"""The golden folder the parity tests compare with: `pytest tests/parity --golden DIR`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from formula import Golden


def golden_folder(config: pytest.Config, family: str) -> Path | None:
    """The family's folder below the one given, or the one given if it is of this family."""
    folder = Path(config.getoption("--golden"))
    if not (folder / "golden.json").exists():
        folder = folder / family
    table = folder / "golden.json"
    return folder if table.exists() and json.loads(table.read_text())["family"] == family else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `case` argument, marked with a function's name, runs on every case of that function."""
    if "case" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("golden_case")
        assert marker is not None
        folder = golden_folder(metafunc.config, marker.kwargs.get("family", "megactor_v1"))
        cases = [] if folder is None else Golden(folder).cases(*marker.args)
        metafunc.parametrize("case", cases, ids=lambda case: case.name)
