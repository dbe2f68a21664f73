"""MegActor-Sigma's networks give the numbers of the public reference implementation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from formula import Case, layout_crc32
from networks import (
    guided,
    megactor_reference_network,
    sigma_denoiser,
    sigma_driving,
    sigma_sound,
    timesteps_of,
    watch,
)

from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.models.attention import Pass, project
from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.sd15.attention import TransformerBlock
from megactor_core.models.sd15.resnet import ResnetBlock
from megactor_core.models.temporal import MotionModule

DRIVING_ENCODER = MEGACTOR_SIGMA.driving_encoder
assert DRIVING_ENCODER is not None


@pytest.mark.golden_case("condition_input_layer", family="megactor_sigma")
@torch.inference_mode()
def test_driving_encoder(case: Case) -> None:
    prefix = "unet.condition_input_layer."
    encoder = DrivingEncoder(DRIVING_ENCODER)
    assert layout_crc32(encoder, prefix) == case.spec["weights"][prefix]["layout_crc32"]
    case.fill(encoder, prefix)
    outputs = {}
    for index in range(len(case.config["fhw"])):
        frames = case.input(f"x{index}")
        outputs[f"y{index}"] = encoder(frames, encoder.modulation(frames[:, :, 0]))
    case.check_all(outputs)


@pytest.mark.golden_case("motion_module", family="megactor_sigma")
@torch.inference_mode()
def test_motion_module(case: Case) -> None:
    module = case.fill(
        MotionModule(case.config["channels"], heads=8, positions=32, groups=32), case.config["prefix"]
    )
    outputs = {}
    for index in range(len(case.config["shapes"])):
        x = case.input(f"x{index}")
        frames = x.shape[2]
        y = module.temporal_transformer(x.transpose(1, 2).flatten(0, 1), frames)
        outputs[f"y{index}"] = y.unflatten(0, (-1, frames)).transpose(1, 2)
    case.check_all(outputs)


@pytest.mark.golden_case("resnet_block3d", family="megactor_sigma")
@torch.inference_mode()
def test_residual_block_normed_over_frames(case: Case) -> None:
    config = case.config
    block = ResnetBlock(config["in_channels"], config["out_channels"], config["temb_channels"], groups=32)
    case.fill(block, config["prefix"])
    # This case's block was built alone, with its class's default; inside the networks it is 1e-5.
    block.norm1.eps = block.norm2.eps = 1e-6
    x, embedding = case.input("x"), torch.nn.functional.silu(case.input("temb"))
    outputs = {}
    for name, count in (("y", x.shape[2]), ("y_first_frame_alone", 1)):
        frames = x[:, :, :count].transpose(1, 2).flatten(0, 1)
        output = block(frames, Pass(count, embedding, context={}))
        outputs[name] = output.unflatten(0, (-1, count)).transpose(1, 2)
    case.check_all(outputs)


@pytest.mark.golden_case("block_basic_audio", family="megactor_sigma")
@torch.inference_mode()
def test_transformer_block_with_audio(case: Case) -> None:
    config = case.config
    audio_dim = case.input("audio").shape[-1]
    block = TransformerBlock("block", config["dim"], 8, config["cross_attention_dim"], audio_dim)
    assert layout_crc32(block, config["prefix"]) == case.spec["weights"][config["prefix"]]["layout_crc32"]
    case.fill(block, config["prefix"])
    # Every frame of this case has a text of its own, so that each is a row of one frame.
    frames = config["frames"]
    shared = Pass(
        num_frames=1,
        embedding=torch.empty(0),
        context={"block": project(block.attn2, case.input("text"))},
        rows=frames,
        conditional_rows=frames,
        audio={"block": project(block.attn_audio, case.input("audio"))},
    )
    case.check_all(
        {
            f"y_audio_weight_{weight}": block(case.input("hidden"), replace(shared, audio_weight=weight))
            for weight in config["weights"]
        }
    )


@pytest.mark.golden_case("unet_audio_plain", family="megactor_sigma")
@torch.inference_mode()
def test_forward_without_reference(case: Case) -> None:
    denoiser = sigma_denoiser(case)
    sample = torch.cat([case.input("latent"), sigma_driving(denoiser, case.input("driving"))], dim=1)
    outputs = {}
    for weight in case.config["weights"]:
        outputs[f"pred_audio_weight_{weight}"] = denoiser(
            sample,
            timesteps_of(case),
            denoiser.context_keys_values(case.input("text")),
            audio=sigma_sound(denoiser, case),
            audio_weight=weight,
        )
    case.check_all(outputs)


@pytest.mark.golden_case("unet_audio_reference", family="megactor_sigma")
@torch.inference_mode()
def test_forward_with_reference_and_taps(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    taps = watch(denoiser)
    timesteps, text = timesteps_of(case), case.input("text")
    bank = network(case.input("ref_latent"), timesteps, network.context_keys_values(text))
    outputs = {f"bank.{name}": tokens for name, tokens in bank.items()}
    outputs["pred"] = denoiser(
        torch.cat([case.input("latent"), sigma_driving(denoiser, case.input("driving"))], dim=1),
        timesteps,
        denoiser.context_keys_values(text),
        denoiser.reference_keys_values(bank),
        audio=sigma_sound(denoiser, case),
    )
    frames = case.input("latent").shape[2]
    for name, output in taps.items():
        outputs[f"tap.{name}"] = output.unflatten(0, (-1, frames)).transpose(1, 2)
    # what the reference network computes after its last norm is never used
    case.check_all(outputs, "pred", "bank.*", "tap.*", elsewhere={"appearance_last_hidden"})


@pytest.mark.golden_case("unet_audio_cfg", family="megactor_sigma")
@torch.inference_mode()
def test_guided_forward(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    timesteps, text = timesteps_of(case), case.input("text")
    bank = network(case.input("ref_latent"), timesteps, network.context_keys_values(text))
    latent, driving = case.input("latent"), case.input("driving")
    black = sigma_driving(denoiser, torch.zeros_like(driving))
    both = torch.cat([black, sigma_driving(denoiser, driving)])
    clips = len(latent)
    rows = denoiser(
        torch.cat([torch.cat([latent, latent]), both], dim=1),
        guided(timesteps),
        denoiser.context_keys_values(guided(text)),
        denoiser.reference_keys_values(bank),
        conditional_rows=clips,
        audio=sigma_sound(denoiser, case),
    )
    uncond, cond = rows.split(clips)
    whole = torch.lerp(uncond, cond, case.config["guidance"])
    case.check_all({"pred_uncond": uncond, "pred_cond": cond, "guided": whole})
