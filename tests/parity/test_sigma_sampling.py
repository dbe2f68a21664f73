"""MegActor-Sigma's schedules, windows and whole sampling loop give the reference's numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from formula import Case
from networks import golden_vae, megactor_reference_network, row_of, sigma_denoiser

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
from megactor_core.sampling.decode import decode_latents
from megactor_core.sampling.sampler import SamplingSettings, Step, sample
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


def start_of(noise: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Start latents of a clip whose every frame has a reference of its own."""
    frames = range(noise.shape[2])
    references = [only_reference(reference[:, :, i], 1) for i in frames]
    return torch.cat([blend_start(noise[:, :, [i]], references[i], MEGACTOR_SIGMA) for i in frames], dim=2)


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
    outputs = {
        "infer_alphas_cumprod": inference.alphas_cumprod,
        "train_alphas_cumprod": training.alphas_cumprod,
    }
    start = torch.cat([start_of(row_of(noise, row), row_of(reference, row)) for row in range(len(noise))])
    outputs["start_latent"] = start
    for steps in case.config["steps"]:
        set_timesteps(inference, MEGACTOR_SIGMA.inference_scheduler, steps)
        outputs[f"timesteps_{steps}"] = inference.timesteps
        latents = start
        for timestep in inference.timesteps:
            latents = inference.step(epsilon, timestep, latents).prev_sample
        outputs[f"final_const_eps_{steps}"] = latents
    for timestep in case.config["train_t"]:
        noisy = training.add_noise(reference, noise, torch.tensor([timestep]))
        outputs[f"train_noisy_t{timestep}"] = noisy
    kinds = ("start_latent", "timesteps_*", "final_const_eps_*", "train_noisy_t*")
    case.check_all(outputs, "infer_alphas_cumprod", "train_alphas_cumprod", *kinds)


def sample_row(case: Case, networks: Networks, row: int) -> dict[str, torch.Tensor]:
    """Outputs of one clip of the case."""
    vae = networks.vae
    source = row_of(case.input("source_image"), row).permute(0, 3, 1, 2)
    mean = vae.encode(source).latent_dist.mean * vae.config.scaling_factor
    encoder = networks.denoiser.condition_input_layer
    frames = row_of(case.input("driving"), row).permute(0, 4, 1, 2, 3)
    modulation = encoder.modulation(frames[:, :, 0])
    features = case.input("audio_features")
    num_frames, rate = case.config["frames"], Fraction(case.config["fps"])
    rows = frame_rows(len(features), [i / rate for i in range(num_frames)])
    conditions = Conditions(
        ReferenceCondition(mean, mean[:, :0, None], modulation),
        BackgroundCondition(row_of(case.input("text"), row)),
        modulate_driving(encoder, DrivingFeatures(encoder.features(frames)), modulation),
        AudioCondition(features, rows, torch.ones(num_frames)),
    )
    start = blend_start(row_of(case.input("noise"), row), conditions, MEGACTOR_SIGMA)
    outputs = {"ref_latent": mean, "start_latents": start}

    def keep(step: Step) -> None:
        outputs[f"step{step.index}.eps_guided"] = step.prediction
        outputs[f"step{step.index}.latents"] = step.latents

    named = {n: case.config[n] for n in ("context_length",) if n in case.config}
    chosen = settings(
        num_inference_steps=case.config["steps"], guidance_scale=case.config["guidance"], **named
    )
    latents = sample(networks, MEGACTOR_SIGMA, conditions, chosen, start_latents=start, on_step=keep)
    if case.stores("decoded_frames"):
        decoded = torch.from_numpy(np.stack(list(decode_latents(vae, latents))))
        outputs["decoded_frames"] = decoded.permute(0, 3, 1, 2)
    return outputs


@pytest.mark.golden_case("pipeline", family="megactor_sigma")
@torch.inference_mode()
def test_pipeline(case: Case) -> None:
    networks = Networks(sigma_denoiser(case), megactor_reference_network(case), golden_vae(case))
    rows = [sample_row(case, networks, row) for row in range(len(case.input("noise")))]
    outputs = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    scheduler = build_scheduler("ddim", MEGACTOR_SIGMA.inference_scheduler)
    scheduler.set_timesteps(case.config["steps"])
    outputs["timesteps"] = scheduler.timesteps
    kinds = ("start_latents", "step*.eps_guided", "step*.latents", "timesteps")
    case.check_all(outputs, "ref_latent", *kinds)
