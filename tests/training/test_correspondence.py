"""Attention is taught where in the portrait a place of the face is, by puppets, which know."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from patch_mixer import KIND, PatchMixerConfig
from pydantic import ValidationError
from test_family_losses import task_of
from tiny_model import tiny_config, tiny_networks

from megactor_core.errors import InputError
from megactor_core.models.kinds import DENOISERS
from megactor_core.seeds import torch_generator
from megactor_core.training.config.tasks import DenoiserTaskConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.tasks.animation import DenoiserTask
from megactor_core.training.tasks.base import StepContext
from megactor_core.training.tasks.correspondence import correspondence_error

SIDE, HEADS, WIDTH = 4, 2, 16


def one_hot_keys() -> torch.Tensor:
    """Keys of which every token has its own direction, (1, heads, tokens, head_width)."""
    return 60 * torch.eye(SIDE**2)[None, None].expand(1, HEADS, -1, -1)


def error(query: torch.Tensor, reference: torch.Tensor, targets: torch.Tensor) -> float:
    return float(correspondence_error(query, one_hot_keys(), reference=reference, targets=targets))


def test_the_error_is_that_of_the_place_that_is_looked_at() -> None:
    # the point moves from the second token of the first row to the last of the second row
    reference, targets = torch.tensor([[[0.3, 0.1]]]), torch.tensor([[[[0.9, 0.4]]]])
    query = torch.zeros(1, 1, SIDE**2, HEADS * WIDTH)
    assert error(query, reference, targets) == pytest.approx(math.log(SIDE**2))
    query[..., 7, 1] = 60  # only heads of the first half are taught
    assert error(query, reference, targets) < 1e-3
    query[..., 7, :] = 0
    query[..., 7, WIDTH + 1] = 60
    assert error(query, reference, targets) == pytest.approx(math.log(SIDE**2))
    query[..., 7, 5] = 60
    assert error(query, reference, targets) > 100


def test_points_outside_a_picture_count_not() -> None:
    query = torch.zeros(1, 1, SIDE**2, HEADS * WIDTH)
    query[..., 7, 1] = 60
    inside, outside = [0.3, 0.1], [1.2, 0.1]
    reference = torch.tensor([[inside, outside, inside]])
    targets = torch.tensor([[[[0.9, 0.4], [0.9, 0.4], [0.9, -0.1]]]])
    assert error(query, reference, targets) < 1e-3
    assert error(query, reference[:, 1:2], targets[:, :, 1:2]) == 0


@pytest.mark.parametrize("family", ["megactor", "xportrait", "megactor-sigma-dit"])
def test_a_few_steps_teach_it(family: str, tmp_path: Path) -> None:
    task = task_of(family, tmp_path, correspondence_weight=1.0, reference_dropout=0.3)
    batch = task.dataset(ProcessGroup())[0]
    parameters = [p for n in ("denoiser", "reference_network") for p in task.networks[n].parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    errors = []
    for _ in range(6):
        loss, scalars = task.loss(batch, StepContext(0, 1, torch_generator(1, 1, 1), ProcessGroup()))
        errors.append(float(scalars["correspondence"]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 0 < errors[-1] < errors[0] - 0.1


def test_recomputed_activations_have_the_same_gradients(tmp_path: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        task = task_of("megactor", tmp_path, correspondence_weight=1.0)
        if checkpointing:
            task.set_gradient_checkpointing()
        batch = task.dataset(ProcessGroup())[0]
        loss, _ = task.loss(batch, StepContext(0, 1, torch_generator(1, 1, 1), ProcessGroup()))
        loss.backward()
        gradients.append([p.grad for p in task.networks["denoiser"].parameters() if p.grad is not None])
    assert all(map(torch.equal, *gradients))


def test_a_denoiser_without_such_attention_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(DENOISERS, "patch_mixer", KIND)
    mixer, writer = PatchMixerConfig(), PatchMixerConfig(in_channels=4)
    model = tiny_config(denoiser=mixer, reference_network=writer)
    config = DenoiserTaskConfig(initial_weights=tmp_path, start="noise", correspondence_weight=0.1)
    with pytest.raises(InputError, match=r"correspondence_weight: is for denoisers .* a patch_mixer"):
        DenoiserTask(config, model, tiny_networks(model), 0, tmp_path)


def test_shards_do_not_know_it() -> None:
    with pytest.raises(ValidationError, match="correspondence_weight is for puppets alone"):
        DenoiserTaskConfig.model_validate(
            {
                "initial_weights": "demo",
                "correspondence_weight": 0.1,
                "data": {"name": "shards", "shards": "shards"},
            }
        )
