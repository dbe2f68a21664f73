"""Runs in a ComfyUI's environment: ``HOST_PYTHON -m pytest tests/inside_host``, with ``COMFYUI_PATH`` set.

The pack is imported as the host does it, by its folder, under the name ``megactor_pack``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pack import enter_host

enter_host()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with MegActor's graph and noise schedule in small, random weights."""
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Any:
    """That model in the host's hands."""
    from megactor_pack.nodes.host.model_loading import load_portrait_model

    return load_portrait_model(tiny_folder)


@pytest.fixture(autouse=True)
def as_in_a_prompt() -> Iterator[None]:
    """The host runs nodes without gradients."""
    import torch

    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def one_level_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a single resolution, which compiles in a third of the time."""
    from dataclasses import replace

    import torch
    from tiny_model import tiny_config, tiny_networks

    from megactor_core.weights.saving import save_model

    tiny = tiny_config()
    one_level = {"block_out_channels": (8,), "attention_levels": (True,)}
    config = replace(
        tiny,
        denoiser=replace(tiny.denoiser, **one_level),
        reference_network=replace(tiny.reference_network, **one_level),
    )
    folder = tmp_path_factory.mktemp("models") / "one_level"
    save_model(config, tiny_networks(config), folder, torch.float32)
    return folder
