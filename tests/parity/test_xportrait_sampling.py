"""X-Portrait's schedule, windows and sampling loop give the reference's numbers."""

from __future__ import annotations

import random

import pytest
import torch
from formula import Case
from xportrait_networks import control_networks, denoiser, local_hint, reference_network

from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    ControlCondition,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.models.config import ModelConfig, SchedulerConfig
from megactor_core.models.networks import Networks
from megactor_core.sampling.sampler import SamplingSettings, Step, sample
from megactor_core.sampling.schedule import build_scheduler, set_timesteps
from megactor_core.sampling.windows import circular_windows

SCHEDULE = SchedulerConfig(beta_schedule="scaled_linear", set_alpha_to_one=False, step_rule="stride")
WINDOW, OVERLAP = 16, 4


def prepared_scheduler(steps: int):  # type: ignore[no-untyped-def]
    scheduler = build_scheduler("ddim", SCHEDULE)
    set_timesteps(scheduler, SCHEDULE, steps)
    return scheduler


@pytest.mark.golden_case("schedule", family="xportrait")
def test_schedule(case: Case) -> None:
    table = case.table()
    scheduler = build_scheduler("ddim", SCHEDULE)
    alphas = scheduler.alphas_cumprod
    outputs = {
        "alphas_cumprod": alphas,
        "x_T_factors": torch.stack([alphas[-1] ** 0.5, (1 - alphas[-1]) ** 0.5]),
    }
    for steps, (count, first, last) in table["steps"].items():
        scheduler = prepared_scheduler(int(steps))
        timesteps = scheduler.timesteps
        assert (len(timesteps), int(timesteps[0]), int(timesteps[-1])) == (count, first, last)
        ascending = timesteps.flip(0)
        outputs[f"S{steps}.timesteps"] = ascending
        outputs[f"S{steps}.alphas"] = alphas[ascending]
        previous = torch.cat([scheduler.final_alpha_cumprod[None], alphas[ascending[:-1]]])
        outputs[f"S{steps}.alphas_prev"] = previous
    kinds = ("S*.timesteps", "S*.alphas", "S*.alphas_prev")
    case.check_all(outputs, "alphas_cumprod", "x_T_factors", *kinds)


@pytest.mark.golden_case("schedule", family="xportrait")
def test_windows(case: Case) -> None:
    for frames, expected in case.table()["windows"].items():
        num_frames, offset = int(frames), expected["offsets_of_first_4_steps"][0]
        windows = circular_windows(num_frames, WINDOW, OVERLAP, offset)
        starts = expected["starts_of_first_step"]
        assert windows == [[(start + i) % num_frames for i in range(WINDOW)] for start in starts]
        visits = [sum(index in window for window in windows) for index in range(num_frames)]
        assert visits == expected["frame_counts_of_first_step"]


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 27, 36, 37, 101, 251, 333, 501, 999, 1000, 1500])
def test_every_number_of_steps_samples_down_to_the_first_timestep(steps: int) -> None:
    scheduler = prepared_scheduler(steps)
    timesteps = scheduler.timesteps.tolist()
    assert timesteps[-1] == 1 and timesteps == sorted(set(timesteps), reverse=True) and timesteps[0] <= 999
    latents = torch.ones(1, 4, 2, 2)
    for timestep in timesteps:
        latents = scheduler.step(latents, timestep, latents).prev_sample
    assert torch.isfinite(latents).all()


def test_a_step_ends_where_the_next_begins() -> None:
    scheduler = prepared_scheduler(30)
    alphas, latents = scheduler.alphas_cumprod, torch.full((1, 1, 1, 1), 0.7)
    noise = torch.full_like(latents, 0.3)
    for timestep, following in zip(scheduler.timesteps[:-1], scheduler.timesteps[1:], strict=True):
        alpha, after = alphas[timestep], alphas[following]
        clean = (latents - (1 - alpha) ** 0.5 * noise) / alpha**0.5
        expected = after**0.5 * clean + (1 - after) ** 0.5 * noise
        torch.testing.assert_close(scheduler.step(noise, int(timestep), latents).prev_sample, expected)


@pytest.mark.golden_case("sampler", family="xportrait")
def test_sampler(case: Case) -> None:
    networks = Networks(
        denoiser(case),
        reference_network(case),
        None,
        **control_networks(case),  # type: ignore[arg-type]
    )
    num_frames, config = case.config["frames"], case.config
    latents = case.input("ref_latent")[:1]
    height, width = latents.shape[-2:]
    with torch.inference_mode():
        hints = {
            "face_control": networks.face_control.hint_features(case.input("hint")),
            "patch_control": networks.patch_control.hint_features(local_hint(case)),
        }
    conditions = Conditions(
        ReferenceCondition(latents, torch.empty(1, 0, 1, height, width), torch.empty(1, 0)),
        BackgroundCondition(case.input("context")[:1]),
        DrivingCondition(torch.empty(1, 0, num_frames, height, width)),
        controls={name: ControlCondition(features) for name, features in hints.items()},
    )
    generator = random.Random(config["seed"])
    # Some numbers of steps give one step more.
    timesteps = prepared_scheduler(config["ddim_steps"]).timesteps
    offsets = [generator.randint(0, num_frames - 1) for _ in timesteps]
    outputs = {"window_offsets": torch.tensor(offsets), "timesteps": timesteps}

    def keep(step: Step) -> None:
        outputs[f"step{step.index}.latents"] = step.latents[0].transpose(0, 1)
        outputs[f"step{step.index}.pred_x0"] = step.clean[0].transpose(0, 1)

    settings = SamplingSettings(
        num_inference_steps=config["ddim_steps"],
        guidance_scale=config["guidance"],
        context_length=WINDOW,
        context_overlap=config["overlap"],
    )
    sample(
        networks,
        ModelConfig(denoiser=networks.denoiser.config, inference_scheduler=SCHEDULE),
        conditions,
        settings,
        start_latents=case.input("x_T").transpose(0, 1)[None],
        windows=lambda step: circular_windows(num_frames, WINDOW, config["overlap"], offsets[step]),
        on_step=keep,
    )
    case.check_all(outputs, "window_offsets", "timesteps", "step*.latents", "step*.pred_x0")
