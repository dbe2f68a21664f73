"""Frames of a window may stand at timesteps of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from megactor_core.families.megactor import CONFIG as MEGACTOR
from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.families.megactor_sigma_dit import CONFIG as MEGACTOR_SIGMA_DIT
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.conditioned import ConditionedDenoiser
from megactor_core.models.networks import build_networks
from megactor_core.weights.random_model import tiny_config

FRAMES = 4


def denoiser_of(published) -> ConditionedDenoiser:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    denoiser = build_networks(tiny_config(published)).denoiser
    for parameter in denoiser.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.05)
    return denoiser


@torch.inference_mode()
def predict(denoiser: ConditionedDenoiser, timestep: Tensor, clips: int = 1, rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(clips, denoiser.config.in_channels, FRAMES, 8, 8, generator=generator)
    tokens = torch.randn(1, 5, denoiser.config.cross_attention_dim, generator=generator)
    context = denoiser.context_keys_values(tokens)
    return denoiser(sample, timestep, context, rows=rows, motion=False)


@pytest.mark.parametrize("published", [MEGACTOR, MEGACTOR_SIGMA, MEGACTOR_SIGMA_DIT, XPORTRAIT])
@pytest.mark.parametrize(("clips", "rows"), [(1, 1), (1, 2), (2, 2)])
def test_equal_timesteps_are_one_timestep(published, clips: int, rows: int) -> None:  # type: ignore[no-untyped-def]
    denoiser = denoiser_of(published)
    expected = predict(denoiser, torch.tensor([300]), clips, rows)
    per_frame = torch.full((1 if clips == 1 else rows, FRAMES), 300)
    torch.testing.assert_close(predict(denoiser, per_frame, clips, rows), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("published", [XPORTRAIT, MEGACTOR_SIGMA_DIT])  # their frames are normalised alone
def test_a_frames_own_timestep_changes_that_frame_alone(published) -> None:  # type: ignore[no-untyped-def]
    denoiser = denoiser_of(published)
    before = predict(denoiser, torch.full((1, FRAMES), 300))
    after = predict(denoiser, torch.tensor([[300, 300, 700, 300]]))
    changed = (after - before).abs().amax(dim=(0, 1, 3, 4))
    assert changed[2] > 1e-3
    assert changed[[0, 1, 3]].max() < 1e-6
