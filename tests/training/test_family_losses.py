"""The loss of every family: finite, with gradients to what it trains, whatever conditions are dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_model import tiny_networks

from megactor_core.families.registry import FAMILIES
from megactor_core.seeds import torch_generator
from megactor_core.training.config.tasks import DenoiserTaskConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.tasks.animation import DenoiserTask
from megactor_core.training.tasks.base import StepContext
from megactor_core.weights.random_model import tiny_config

DROPPED = {"reference_dropout": 0.5, "background_dropout": 0.5, "driving_dropout": 0.5}


def task_of(family: str, folder: Path, **changes: Any) -> DenoiserTask:
    data = {"size": 64, "references": 3, "frames": 2}
    config = DenoiserTaskConfig(
        initial_weights=folder, start="noise", sample_latents=False, data=data, **changes
    )
    model = tiny_config(FAMILIES[family].config)
    networks = tiny_networks(model)
    for _, network in networks.items():
        network.requires_grad_(True)
    return DenoiserTask(config, model, networks, 0, folder)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changes", [{}, DROPPED], ids=["all", "dropped"])
def test_a_step_of_puppets_teaches_denoiser_and_reference_network(
    family: str, changes: dict[str, float], tmp_path: Path
) -> None:
    task = task_of(family, tmp_path, **changes)
    batch = task.dataset(ProcessGroup())[0]
    # a seed that drops every condition of some clips and keeps it in others
    loss, scalars = task.loss(batch, StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup()))
    assert loss.isfinite() and scalars["mse"] > 0
    loss.backward()
    for name in ("denoiser", "reference_network", *task.all_networks.controls):
        gradients = [p.grad for p in dict(task.all_networks.items())[name].parameters() if p.grad is not None]
        assert any(gradient.any() for gradient in gradients), name
        assert all(gradient.isfinite().all() for gradient in gradients), name


def test_a_batch_holds_what_the_family_is_shown(tmp_path: Path) -> None:
    sizes = {}
    for family in FAMILIES:
        batch = task_of(family, tmp_path).dataset(ProcessGroup())[0]
        sizes[family] = {name: tuple(value.shape) for name, value in batch.items()}
    grey, hint = (3, 2, 64, 64), (3, 2, 3, 64, 64)
    assert sizes["megactor"]["driving"] == sizes["megactor-sigma"]["driving"] == grey
    assert sizes["xportrait"]["face_control"] == sizes["xportrait"]["patch_control"] == hint
    assert "backgrounds" in sizes["megactor"] and "backgrounds" not in sizes["xportrait"]
    heard = [family for family in FAMILIES if "sound" in sizes[family]]
    assert heard == ["megactor-sigma"] and sizes["megactor-sigma"]["sound_rows"] == (3, 2, 10)


def test_sigma_is_shown_patches_on_black(tmp_path: Path) -> None:
    shown = task_of("megactor-sigma", tmp_path).dataset(ProcessGroup())[0]["driving"] > 0
    assert 0.02 < shown.float().mean() < 0.7
