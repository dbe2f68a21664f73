"""Schedules, windows, the CLIP branch and the whole sampling loop give the reference's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formula import Case
from networks import golden_vae, megactor_denoiser, megactor_reference_network, row_of
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
from megactor_core.sampling.sampler import SamplingSettings, Step, sample
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
    training = build_scheduler("ddim", config.training_scheduler)
    outputs = {
        "infer.alphas_cumprod": scheduler.alphas_cumprod,
        "train.alphas_cumprod": training.alphas_cumprod,
    }
    for name in case.spec["outputs"]:
        kind, _, rest = name.partition(".")
        if rest.startswith("timesteps_"):
            scheduler.set_timesteps(int(rest.removeprefix("timesteps_")))
            outputs[name] = scheduler.timesteps
        elif rest.startswith("steps"):
            steps, _, step = rest.partition(".prev_sample_t")
            scheduler.set_timesteps(int(steps.removeprefix("steps")))
            outputs[name] = scheduler.step(epsilon, int(step), latents).prev_sample
        elif kind == "train" and rest.startswith("noisy_t"):
            timestep = torch.tensor([int(rest.removeprefix("noisy_t"))])
            outputs[name] = training.add_noise(latents, epsilon, timestep)
    kinds = ("infer.timesteps_*", "infer.steps*.prev_sample_t*", "train.noisy_t*")
    case.check_all(outputs, "infer.alphas_cumprod", "train.alphas_cumprod", *kinds)


@pytest.mark.golden_case("clip_branch")
@torch.inference_mode()
def test_background_tokens(case: Case) -> None:
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**case.config["clip"]))
    case.fill(encoder, "image_encoder.")
    pictures = case.input("image_u8").permute(0, 2, 3, 1).numpy()
    pixels = torch.cat([clip_pixels(picture, encoder.config.image_size) for picture in pictures])
    outputs = {
        "pixel_values": pixels,
        "last_hidden_state": encoder.vision_model(pixel_values=pixels).last_hidden_state,
        "tokens": image_tokens(encoder, pixels),
    }
    case.check_all(outputs)


def sample_row(case: Case, networks: Networks, row: int) -> dict[str, torch.Tensor]:
    """Outputs of one clip of the case."""
    denoiser, vae = networks.denoiser, networks.vae

    def given(name: str) -> torch.Tensor:
        return row_of(case.input(name), row)

    source = given("source_image").permute(0, 3, 1, 2)
    mean = vae.encode(source).latent_dist.mean * vae.config.scaling_factor
    outputs = {"ref_latent": mean}
    modulation = denoiser.condition_input_layer.modulation(given("reference_u8").float() / 255)
    driving = given("driving").permute(0, 4, 1, 2, 3)
    static = torch.cat([given("concat_latent")[:, :, :1], given("background_mask")[:, :, :1]], dim=1)
    conditions = Conditions(
        ReferenceCondition(mean, static, modulation),
        BackgroundCondition(given("emb")),
        DrivingCondition(denoiser.condition_input_layer(driving, modulation)),
    )
    named = {n: case.config[n] for n in ("context_length", "context_overlap") if n in case.config}
    settings = SamplingSettings(
        num_inference_steps=case.config["steps"], guidance_scale=case.config["guidance"], **named
    )

    def keep(step: Step) -> None:
        outputs[f"step{step.index}.eps_guided"] = step.prediction
        outputs[f"step{step.index}.latents"] = step.latents

    start = given("start_latents")
    latents = sample(networks, ModelConfig(), conditions, settings, start_latents=start, on_step=keep)
    decoded = torch.from_numpy(np.stack(list(decode_latents(vae, latents))))
    outputs["decoded_frames"] = decoded.permute(0, 3, 1, 2)
    return outputs


@pytest.mark.golden_case("pipeline")
@torch.inference_mode()
def test_pipeline(case: Case) -> None:
    vae = golden_vae(case)
    networks = Networks(megactor_denoiser(case), megactor_reference_network(case), vae, None)  # type: ignore[arg-type]
    rows = [sample_row(case, networks, row) for row in range(len(case.input("start_latents")))]
    outputs = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    scheduler = build_scheduler("ddim", ModelConfig().inference_scheduler)
    scheduler.set_timesteps(case.config["steps"])
    outputs["timesteps"] = scheduler.timesteps
    kinds = ("step*.eps_guided", "step*.latents", "timesteps", "decoded_frames")
    case.check_all(outputs, "ref_latent", *kinds)
