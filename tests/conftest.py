"""Options and fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["host_fixtures"]
collect_ignore = ["inside_host"]  # runs in the host's own Python

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=REPOSITORY / "tests" / "golden",
        help="folder of golden data for the parity tests: of one family (golden.json and its safetensors "
        "files) or of several, each in a folder of its name",
    )
