"""A small model and its official-layout tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from official_layout import State, random_states, small_config, write_official

from megactor_core.models.config import ModelConfig


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return small_config()


@pytest.fixture(scope="session")
def states(config: ModelConfig) -> dict[str, State]:
    return random_states(config)


@pytest.fixture
def official(tmp_path: Path, config: ModelConfig, states: dict[str, State]) -> Callable[..., Path]:
    """Call it with the options of ``write_official`` to get a layout in a fresh folder."""
    return lambda **options: write_official(tmp_path / "official", config, states, **options)
