"""The loss of every family: finite, with gradients to what it trains, whatever conditions are dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import tiny_networks
from torch import Tensor

from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.seeds import torch_generator
from megactor_core.training.config.tasks import DenoiserTaskConfig
from megactor_core.training.data.loader import Batch
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.tasks.animation import DenoiserTask
from megactor_core.training.tasks.base import StepContext
from megactor_core.weights.random_model import tiny_config

DROPPED = {"reference_dropout": 0.5, "background_dropout": 0.5, "driving_dropout": 0.5}


def task_of(family: str, folder: Path, seed: int = 0, **changes: Any) -> DenoiserTask:
    settings = {"data": {"size": 64, "references": 3, "frames": 2}, **changes}
    config = DenoiserTaskConfig(initial_weights=folder, start="noise", sample_latents=False, **settings)
    model = tiny_config(FAMILIES[family].config)
    networks = tiny_networks(model)
    for _, network in networks.items():
        network.requires_grad_(True)
    return DenoiserTask(config, model, networks, seed, folder)


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


@pytest.mark.parametrize("family", FAMILIES)
def test_what_first_sees_the_driver_learns_to_tell_its_motion(family: str, tmp_path: Path) -> None:
    task = task_of(family, tmp_path, auxiliary_weight=1e6, auxiliary_steps=10)
    context = StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup())
    loss, scalars = task.loss(task.dataset(ProcessGroup())[0], context)
    loss.backward()
    assert scalars["motion"] > 0 and task.motion_head.weight.grad.any()
    networks = task.all_networks
    if networks.controls:
        encoder = networks.module("face_control").controlnet_cond_embedding
    else:
        encoder = networks.denoiser.driving_encoder
    first = next(iter(encoder.parameters())).grad
    assert first is not None and first.any()


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
    assert heard == ["megactor-sigma", "megactor-sigma-dit"] and sizes["megactor-sigma"]["sound_rows"] == (
        3,
        2,
        10,
    )


def test_sigma_is_shown_patches_on_black(tmp_path: Path) -> None:
    shown = task_of("megactor-sigma", tmp_path).dataset(ProcessGroup())[0]["driving"] > 0
    assert 0.02 < shown.float().mean() < 0.7


def test_modalities_are_refused_where_nothing_is_heard(tmp_path: Path) -> None:
    draws = {"draws": [{"share": 1.0, "show": "eyes", "sound": "speech"}]}
    with pytest.raises(InputError, match=r"task\.modalities: a megactor model hears nothing"):
        task_of("megactor", tmp_path, modalities=draws)


MODALITIES = {
    "speech_weight": 4.0,
    "local_sound": 0.5,
    "draws": [
        {"share": 0.2, "show": "eyes", "sound": "speech"},
        {"share": 0.2, "show": "eyes", "sound": "silence", "masked": ["mouth"]},
        {"share": 0.4, "show": "eyes", "sound": "speech", "sound_weight": 0.0, "still": True},
        {"share": 0.2, "show": "none", "sound": "none", "reference": False},
    ],
}


def losses_of(task: DenoiserTask, batch: Batch, rows: list[int]) -> tuple[float, Tensor]:
    """Loss of some rows of a batch at one timestep without noise, and its gradient on the sound attention."""
    config = task.config.model_copy(update={"start_share": 1.0, "start_noise_scale": 0.0})
    task.config = config
    part = {name: value[rows] for name, value in batch.items()}
    for _, network in task.all_networks.items():
        network.zero_grad()
    loss, _ = task.loss(part, StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup()))
    loss.backward()
    heard = task.all_networks.denoiser.mid_block.attentions[0].transformer_blocks[0].attn_audio.to_k.weight
    return loss.item(), heard.grad.clone()


def test_the_order_of_clips_changes_nothing_and_recomputed_activations_change_no_gradient(
    tmp_path: Path,
) -> None:
    data = {"size": 64, "references": 6, "frames": 2}
    task = task_of("megactor-sigma", tmp_path, 6, modalities=MODALITIES, data=data)  # seed with every kind
    batch = task.dataset(ProcessGroup())[0]
    assert batch["reads"].any() and not batch["reads"].all() and batch["hidden"].any()
    assert batch["sound"].any() and not batch["sound_weight"].all()
    loss, gradient = losses_of(task, batch, [0, 1, 2, 3, 4, 5])
    shuffled, shuffled_gradient = losses_of(task, batch, [3, 5, 0, 2, 1, 4])
    assert shuffled == pytest.approx(loss, rel=1e-5)
    assert gradient.any()
    torch.testing.assert_close(shuffled_gradient, gradient, rtol=1e-3, atol=1e-6)
    task.set_gradient_checkpointing()
    again, again_gradient = losses_of(task, batch, [0, 1, 2, 3, 4, 5])
    assert again == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(again_gradient, gradient, rtol=1e-5, atol=1e-8)


def test_what_a_clip_hears_is_computed_once_where_batches_are_kept(tmp_path: Path) -> None:
    task = task_of("megactor-sigma", tmp_path, 6, modalities=MODALITIES, cached_batches=1)
    batches = task.dataset(ProcessGroup())
    made, kept = batches[0], None
    losses = []
    for _ in range(2):
        batch = made if kept is None else kept
        loss, _ = task.loss(batch, StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup()))
        losses.append(loss.item())
        kept = batches[0]
    assert "sound" in made and "sound" not in kept and kept["sound_features"].any()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_batches_that_stay_on_the_device_are_those_of_their_files(tmp_path: Path) -> None:
    """Made, held in memory, read from the file by a run that goes on, and handed out as in other runs."""

    def loss_of(task: DenoiserTask, batch: Batch) -> float:
        return task.loss(batch, StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup()))[0].item()

    def started(on_device: bool) -> DenoiserTask:
        return task_of("megactor", tmp_path, cached_batches=2, cache_on_device=on_device)

    first = started(True)
    batches = first.dataset(ProcessGroup())
    losses = [loss_of(first, batches[0])]
    assert batches[0] == {"cache_index": 0} == batches[2]
    (tmp_path / "000000.safetensors").rename(tmp_path / "aside")  # it is not read again
    losses.append(loss_of(first, {"cache_index": 0}))
    (tmp_path / "aside").rename(tmp_path / "000000.safetensors")
    for on_device in (True, False):
        resumed = started(on_device)
        losses.append(loss_of(resumed, resumed.dataset(ProcessGroup())[0]))
    assert losses == [pytest.approx(losses[0], rel=1e-6)] * 4
