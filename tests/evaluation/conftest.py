"""A model folder to evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that are far too few to animate anything."""
    return write_tiny_model(tmp_path_factory.mktemp("model"))
