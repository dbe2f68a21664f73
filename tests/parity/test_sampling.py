"""Schedules, windows, the CLIP branch and the whole sampling loop give the reference's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formula import Case
from networks import driving_modulation, golden_vae, megactor_denoiser, megactor_reference_network
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from megactor_core.conditioning.background import clip_pixels, image_tokens
from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.models.config import ModelConfig
from megactor_core.models.networks import Networks
from megactor_core.sampling.decode import decode_latents
from megactor_core.sampling.sampler import SamplingSettings, sample
from megactor_core.sampling.schedule import build_scheduler
from megactor_core.sampling.windows import context_windows


@pytest.mark.golden_case("context_windows")
def test_context_windows(case: Case) -> None:
    for key, expected in case.table().items():
        assert context_windows(*map(int, key.split("/"))) == expected


@pytest.mark.golden_case("schedulers")
def test_schedules(case: Case) -> None:
    config = ModelConfig()
    latents, epsilon = case.input("sample"), case.input("eps")
    scheduler = build_scheduler("ddim", config.inference_scheduler)
    case.check("infer.alphas_cumprod", scheduler.alphas_cumprod)
    training = build_scheduler("ddim", config.training_scheduler)
    case.check("train.alphas_cumprod", training.alphas_cumprod)
    for name in case.spec["outputs"]:
        kind, _, rest = name.partition(".")
        if rest.startswith("timesteps_"):
            scheduler.set_timesteps(int(rest.removeprefix("timesteps_")))
            case.check(name, scheduler.timesteps)
        elif rest.startswith("steps"):
            steps, _, step = rest.partition(".prev_sample_t")
            scheduler.set_timesteps(int(steps.removeprefix("steps")))
            case.check(name, scheduler.step(epsilon, int(step), latents).prev_sample)
        elif kind == "train" and rest.startswith("noisy_t"):
            timestep = torch.tensor([int(rest.removeprefix("noisy_t"))])
            case.check(name, training.add_noise(latents, epsilon, timestep))
        else:
            assert rest == "alphas_cumprod", f"unknown golden output {name}"


@pytest.mark.golden_case("clip_branch")
@torch.inference_mode()
def test_background_tokens(case: Case) -> None:
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**case.config["clip"]))
    case.fill(encoder, "image_encoder.")
    pixels = clip_pixels(case.input("image_u8")[0].permute(1, 2, 0).numpy(), encoder.config.image_size)
    case.check("pixel_values_every_2nd", pixels[:, :, ::2, ::2])
    case.check("last_hidden_state", encoder.vision_model(pixel_values=pixels).last_hidden_state)
    case.check("tokens", image_tokens(encoder, pixels))


@pytest.mark.golden_case("pipeline")
@torch.inference_mode()
def test_pipeline(case: Case) -> None:
    denoiser, vae = megactor_denoiser(case), golden_vae(case)
    source = case.input("source_image").permute(0, 3, 1, 2)
    mean = vae.encode(source).latent_dist.mean * vae.config.scaling_factor
    case.check("ref_latent", mean)
    modulation = driving_modulation(case, denoiser)
    driving = case.input("driving").permute(0, 4, 1, 2, 3)
    static = torch.cat(
        [case.input("concat_latent")[:, :, :1], case.input("background_mask")[:, :, :1]], dim=1
    )
    conditions = Conditions(
        ReferenceCondition(mean, static, modulation),
        BackgroundCondition(case.input("emb")),
        DrivingCondition(denoiser.condition_input_layer(driving, modulation)),
    )
    networks = Networks(denoiser, megactor_reference_network(case), vae, None)  # type: ignore[arg-type]
    steps: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    named = {n: case.config[n] for n in ("context_length", "context_overlap") if n in case.config}
    settings = SamplingSettings(
        num_inference_steps=case.config["steps"], guidance_scale=case.config["guidance"], **named
    )
    config = ModelConfig()
    latents = sample(
        networks,
        config,
        conditions,
        settings,
        start_latents=case.input("start_latents"),
        on_step=lambda step: steps.__setitem__(step.index, (step.prediction, step.latents)),
    )
    for step, (epsilon, after) in steps.items():
        case.check(f"step{step}.eps_guided", epsilon)
        case.check(f"step{step}.latents", after)
    scheduler = build_scheduler("ddim", config.inference_scheduler)
    scheduler.set_timesteps(case.config["steps"])
    case.check("timesteps", scheduler.timesteps)
    note = case.spec["outputs"]["decoded_frames"]["note"]
    indices = [int(i) for i in note[note.index("[") + 1 : note.index("]")].split(",")]
    frames = decode_latents(vae, latents[:, :, indices])
    case.check("decoded_frames", np.stack(list(frames)).transpose(0, 3, 1, 2))
