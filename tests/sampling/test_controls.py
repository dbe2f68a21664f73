"""X-Portrait's conditions in the sampler: ControlNets, several references, short clips, any guidance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
    StartCondition,
)
from megactor_core.sampling.sampler import SamplingSettings, sample
from megactor_core.weights.loading import LoadedModel, load_model
from megactor_core.weights.random_model import write_random_model

CELLS = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("xportrait") / "model"
    write_random_model("xportrait", folder)
    return load_model(folder)


def conditions_of(model: LoadedModel, num_frames: int, references: int = 1) -> Conditions:
    generator = torch.Generator().manual_seed(0)
    networks = model.networks
    assert networks.constant_context is not None
    hints = torch.rand(2, num_frames, 3, 8 * CELLS, 8 * CELLS, generator=generator) * 2 - 1
    with torch.inference_mode():
        controls = {
            name: ControlCondition(network.hint_features(shown))
            for (name, network), shown in zip(networks.controls.items(), hints, strict=True)
        }
    return Conditions(
        ReferenceCondition(
            torch.randn(references, 4, CELLS, CELLS, generator=generator),
            torch.empty(1, 0, 1, CELLS, CELLS),
            torch.empty(1, 0),
        ),
        BackgroundCondition(networks.constant_context.tokens),
        DrivingCondition(torch.empty(1, 0, num_frames, CELLS, CELLS)),
        controls=controls,
    )


def sampled(model: LoadedModel, conditions: Conditions, **changes: object) -> torch.Tensor:
    settings = SamplingSettings.from_defaults(model.config.defaults, **changes)
    return sample(model.networks, model.config, conditions, settings)


@pytest.mark.parametrize(("num_frames", "steps"), [(1, 1), (3, 2), (4, 3), (16, 1), (17, 2), (30, 1)])
def test_every_length_and_number_of_steps(model: LoadedModel, num_frames: int, steps: int) -> None:
    latents = sampled(model, conditions_of(model, num_frames), num_inference_steps=steps)
    assert latents.shape == (1, 4, num_frames, CELLS, CELLS)
    assert torch.isfinite(latents).all()


def test_several_references_are_read_together(model: LoadedModel) -> None:
    conditions = conditions_of(model, 2, references=3)
    latents = conditions.reference.latents
    first = replace(conditions, reference=replace(conditions.reference, latents=latents[:1]))
    turned = replace(conditions, reference=replace(conditions.reference, latents=latents[[0, 2, 1]]))
    three = sampled(model, conditions)
    assert not torch.allclose(three, sampled(model, first), atol=1e-3)
    # Attention does not care about the order; the start noise is blended with the first.
    torch.testing.assert_close(sampled(model, turned), three, atol=1e-3, rtol=1e-4)


def test_guidance_1_is_the_conditional_row(model: LoadedModel) -> None:
    conditions = conditions_of(model, 3)
    one, almost = (sampled(model, conditions, guidance_scale=scale) for scale in (1, 1.00001))
    torch.testing.assert_close(one, almost, atol=2e-3, rtol=1e-3)
    assert not torch.allclose(one, sampled(model, conditions, guidance_scale=3), atol=1e-2)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpm++2m", "unipc", "lcm"])
def test_few_step_schedulers(model: LoadedModel, scheduler: str) -> None:
    conditions = conditions_of(model, 2)
    changes = {"scheduler": scheduler, "num_inference_steps": 4, "guidance_scale": 1}
    assert torch.isfinite(sampled(model, conditions, **changes)).all()


def with_control(conditions: Conditions, name: str, **changes: float) -> Conditions:
    return replace(
        conditions,
        controls={
            **conditions.controls,
            name: replace(conditions.controls[name], use=ControlStrength(**changes)),
        },
    )


@pytest.mark.parametrize("name", ["face_control", "patch_control"])
def test_each_control_has_its_strength(model: LoadedModel, name: str) -> None:
    conditions = conditions_of(model, 2)
    full = sampled(model, conditions)
    off = sampled(model, with_control(conditions, name, strength=0))
    rest = {other: control for other, control in conditions.controls.items() if other != name}
    assert torch.equal(off, sampled(model, replace(conditions, controls=rest)))
    assert not torch.allclose(off, full, atol=1e-3)
    half = sampled(model, with_control(conditions, name, strength=0.5))
    assert not torch.allclose(half, off, atol=1e-3) and not torch.allclose(half, full, atol=1e-3)


def test_a_control_counts_between_start_and_end(model: LoadedModel) -> None:
    conditions = conditions_of(model, 2)
    first, second = ControlStrength(end=0.4), ControlStrength(start=0.5)
    assert [first.at(timestep) for timestep in (999, 600, 599, 1)] == [1, 1, 0, 0]
    assert [second.at(timestep) for timestep in (999, 501, 499, 0)] == [0, 0, 1, 1]
    results = [
        sampled(model, with_control(conditions, "face_control", **changes), num_inference_steps=3)
        for changes in ({}, {"end": 0.4}, {"start": 0.5}, {"strength": 0})
    ]
    for index, result in enumerate(results):
        assert not any(torch.allclose(result, other, atol=1e-4) for other in results[:index])


@pytest.mark.parametrize(
    "changes",
    [{"strength": -1}, {"strength": float("nan")}, {"start": 0.6, "end": 0.5}, {"start": -0.1}, {"end": 1.1}],
)
def test_impossible_strengths_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InputError):
        ControlStrength(**changes)


def test_sampling_starts_from_given_latents_or_the_first_reference(model: LoadedModel) -> None:
    conditions = conditions_of(model, 2)
    clean = conditions.reference.latents[:, :, None].expand(-1, -1, 2, -1, -1)
    same = replace(conditions, start=StartCondition(clean))
    assert torch.equal(sampled(model, same), sampled(model, conditions))
    other = replace(conditions, start=StartCondition(-3 * clean))
    assert not torch.allclose(sampled(model, other), sampled(model, conditions), atol=1e-4)
