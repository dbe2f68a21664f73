"""The full-size model does no more work than needed, counted on meta tensors."""

from __future__ import annotations

import pytest

from benchmarks.flops import StepFlops, count_step
from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.config import ModelConfig


@pytest.fixture(scope="module")
def guided() -> StepFlops:
    return count_step(ModelConfig(), size=512, num_frames=16)


def test_a_guided_window_step_takes_at_most_31_tflop(guided: StepFlops) -> None:
    assert 25e12 < guided.window_step <= 31.0e12
    assert sum(guided.parts.values()) == guided.denoiser


def test_the_reference_network_takes_at_most_0_8_tflop(guided: StepFlops) -> None:
    assert 0.5e12 < guided.reference_network <= 0.80e12


def test_without_guidance_one_row_is_evaluated(guided: StepFlops) -> None:
    one_row = count_step(ModelConfig(), size=512, num_frames=16, guided=False)
    assert one_row.window_step <= 19.5e12


def test_an_xportrait_window_step_takes_at_most_51_3_tflop() -> None:
    step = count_step(XPORTRAIT, size=512, num_frames=16)
    assert 45e12 < step.window_step + step.reference_network <= 51.3e12
    assert 8e12 < step.controls <= 8.6e12


def test_sigma_computes_nothing_for_what_its_unconditional_row_does_not_see() -> None:
    step = count_step(MEGACTOR_SIGMA, size=512, num_frames=16)
    one_row = count_step(MEGACTOR_SIGMA, size=512, num_frames=16, guided=False)
    assert step.window_step + step.reference_network < 37.9e12
    assert step.denoiser < 1.95 * one_row.denoiser
    assert step.reference_network < 0.78e12 and step.once_per_clip < 0.02e12
