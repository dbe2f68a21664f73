"""The golden folder the parity tests compare with: `pytest tests/parity --golden DIR`."""

from __future__ import annotations

from pathlib import Path

import pytest
from formula import Golden


def golden_folder(config: pytest.Config) -> Path:
    """The folder given, or its family folder when the parent of several families is given."""
    folder = Path(config.getoption("--golden"))
    return folder if (folder / "golden.json").exists() else folder / "megactor_v1"


@pytest.fixture(scope="session")
def golden(pytestconfig: pytest.Config) -> Golden:
    return Golden(golden_folder(pytestconfig))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `case` argument, marked with a function's name, runs on every case of that function."""
    if "case" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("golden_case")
        assert marker is not None
        cases = Golden(golden_folder(metafunc.config)).cases(*marker.args)
        metafunc.parametrize("case", cases, ids=lambda case: case.name)
