"""Every scheduler gives as many steps as it has, each at a lower timestep; more are refused in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.families.megactor import CONFIG as MEGACTOR
from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.config import SchedulerConfig
from megactor_core.sampling.schedule import SCHEDULERS, build_scheduler, set_timesteps
from megactor_core.weights.loading import read_config

DEMO = read_config(Path(__file__).resolve().parents[2] / "megactor_core" / "weights" / "demo")
SCHEDULES = {
    "megactor": MEGACTOR.inference_scheduler,
    "sigma": MEGACTOR_SIGMA.inference_scheduler,
    "xportrait": XPORTRAIT.inference_scheduler,
    "demo": DEMO.inference_scheduler,
    "linspace": dataclasses.replace(MEGACTOR.inference_scheduler, timestep_spacing="linspace"),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
@pytest.mark.parametrize("name", SCHEDULERS)
def test_as_many_steps_as_there_are(name: str, schedule: SchedulerConfig) -> None:
    for steps in (1, 2, 3, 25, 50, 51, 334, 500, 501, 997, 998, 999, 1000, 1001, 2000):
        scheduler = build_scheduler(name, schedule)
        try:
            set_timesteps(scheduler, schedule, steps)
        except InputError as error:
            assert f"steps {steps}: are more than the scheduler {name} has for this model" in str(error)
            assert steps > 50
            continue
        chosen = scheduler.timesteps.tolist()
        assert chosen == sorted(set(chosen), reverse=True) and 0 <= chosen[-1] and chosen[0] < 1000
        assert len(chosen) == steps or (schedule.step_rule == "stride" and len(chosen) >= min(steps, 999))
        if steps < 100:
            sample = torch.ones(1, 4, 2, 2) * float(scheduler.init_noise_sigma)
            for timestep in scheduler.timesteps:
                scaled = scheduler.scale_model_input(sample, timestep)
                sample = scheduler.step(0.5 * scaled, timestep, sample).prev_sample
            assert torch.isfinite(sample).all()
