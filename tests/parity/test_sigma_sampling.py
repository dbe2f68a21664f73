"""MegActor-Sigma's schedules, windows and whole sampling loop give the reference's numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from formula import Case
from networks import golden_vae, megactor_reference_network, sigma_denoiser

from megactor_core.conditioning.audio import frame_rows
from megactor_core.conditioning.driving import modulate_driving
from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    DrivingFeatures,
    ReferenceCondition,
)
from megactor_core.models.networks import Networks
from megactor_core.sampling.sampler import SamplingSettings, sample
from megactor_core.sampling.schedule import blend_start, build_scheduler, set_timesteps


def settings(**changes: object) -> SamplingSettings:
    return SamplingSettings.from_defaults(MEGACTOR_SIGMA.defaults, **changes)


def only_reference(latents: torch.Tensor, num_frames: int) -> Conditions:
    """Conditions of which the start needs no more."""
    height, width = latents.shape[-2:]
    return Conditions(
        ReferenceCondition(latents, latents[:, :0, None], latents.new_empty(1, 0)),
        BackgroundCondition(latents.new_empty(1, 0, 1)),
        DrivingCondition(latents.new_empty(1, 0, num_frames, height, width)),
    )


@pytest.mark.golden_case("context_windows", family="megactor_sigma")
def test_windows_of_every_step(case: Case) -> None:
    chosen = settings(context_length=case.table()["context_frames"])
    for frames, steps in case.table()["windows"].items():
        for step, expected in enumerate(steps):
            assert chosen.windows(int(frames), step) == expected


@pytest.mark.golden_case("scheduler", family="megactor_sigma")
def test_schedules_and_start(case: Case) -> None:
    reference, noise, epsilon = (case.input(name) for name in ("ref", "noise", "eps"))
    inference = build_scheduler("ddim", MEGACTOR_SIGMA.inference_scheduler)
    training = build_scheduler("ddim", MEGACTOR_SIGMA.training_scheduler)
    case.check("infer_alphas_cumprod", inference.alphas_cumprod)
    case.check("train_alphas_cumprod", training.alphas_cumprod)
    starts = [
        blend_start(noise[:, :, [i]], only_reference(reference[:, :, i], 1), MEGACTOR_SIGMA)
        for i in range(noise.shape[2])
    ]
    start = torch.cat(starts, dim=2)
    case.check("start_latent", start)
    for steps in case.config["steps"]:
        set_timesteps(inference, MEGACTOR_SIGMA.inference_scheduler, steps)
        case.check(f"timesteps_{steps}", inference.timesteps)
        latents = start
        for timestep in inference.timesteps:
            latents = inference.step(epsilon, timestep, latents).prev_sample
        case.check(f"final_const_eps_{steps}", latents)
    for timestep in case.config["train_t"]:
        noisy = training.add_noise(reference, noise, torch.tensor([timestep]))
        case.check(f"train_noisy_t{timestep}", noisy)


@pytest.mark.golden_case("pipeline", family="megactor_sigma")
@torch.inference_mode()
def test_pipeline(case: Case) -> None:
    denoiser, vae = sigma_denoiser(case), golden_vae(case)
    source = case.input("source_image").permute(0, 3, 1, 2)
    mean = vae.encode(source).latent_dist.mean * vae.config.scaling_factor
    case.check("ref_latent", mean)
    encoder = denoiser.condition_input_layer
    frames = case.input("driving").permute(0, 4, 1, 2, 3)
    modulation = encoder.modulation(frames[:, :, 0])
    features = case.input("audio_features")
    num_frames, rate = case.config["frames"], Fraction(case.config["fps"])
    rows = frame_rows(len(features), [i / rate for i in range(num_frames)])
    conditions = Conditions(
        ReferenceCondition(mean, mean[:, :0, None], modulation),
        BackgroundCondition(case.input("text")),
        modulate_driving(encoder, DrivingFeatures(encoder.features(frames)), modulation),
        AudioCondition(features, rows, torch.ones(num_frames)),
    )
    start = blend_start(case.input("noise"), conditions, MEGACTOR_SIGMA)
    case.check("start_latents", start)
    checked = {"ref_latent", "start_latents", "timesteps"}

    def check_step(step) -> None:  # type: ignore[no-untyped-def]
        for name, tensor in (("eps_guided", step.prediction), ("latents", step.latents)):
            case.check(f"step{step.index}.{name}", tensor)
            checked.add(f"step{step.index}.{name}")

    named = {n: case.config[n] for n in ("context_length",) if n in case.config}
    sample(
        Networks(denoiser, megactor_reference_network(case), vae),
        MEGACTOR_SIGMA,
        conditions,
        settings(num_inference_steps=case.config["steps"], guidance_scale=case.config["guidance"], **named),
        start_latents=start,
        on_step=check_step,
    )
    scheduler = build_scheduler("ddim", MEGACTOR_SIGMA.inference_scheduler)
    scheduler.set_timesteps(case.config["steps"])
    case.check("timesteps", scheduler.timesteps)
    assert checked == set(case.spec["outputs"])
