"""The networks give the numbers of the public reference implementation."""

from __future__ import annotations

import pytest
import torch
from formula import Case, layout_crc32
from networks import (
    guided,
    in_rows,
    megactor_denoiser,
    megactor_reference_network,
    static_conditions,
    timesteps_of,
    unet_config,
    watch,
)

from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.temporal import MotionModule


@pytest.mark.golden_case("driven_encoder")
@torch.inference_mode()
def test_driving_encoder(case: Case) -> None:
    encoder = case.fill(DrivingEncoder(DrivingEncoderConfig()), "unet.condition_input_layer.")
    group = case.spec["weights"]["unet.condition_input_layer."]
    assert layout_crc32(encoder, "unet.condition_input_layer.") == group["layout_crc32"]
    reference_image = case.input("reference_u8").float() / 255
    modulation = encoder.modulation(reference_image)
    outputs = {"scale_shift": modulation, "refer_feature": encoder.refer_convs(reference_image * 2 - 1)}
    for index in range(len(case.config["driving_fhw"])):
        frames = case.input(f"driving{index}")
        outputs[f"y{index}"] = encoder(frames, in_rows(modulation, len(frames)))
    frames = case.input("driving0")
    features = encoder.features(frames).unflatten(0, (-1, frames.shape[2]))
    outputs["layer3_before_modulation"] = features.transpose(1, 2)
    case.check_all(outputs)


@pytest.mark.golden_case("motion_module")
@torch.inference_mode()
def test_motion_module(case: Case) -> None:
    channels = case.config["channels"]
    module = case.fill(MotionModule(channels, heads=8, positions=32, groups=32), case.config["prefix"])
    outputs = {}
    for index in range(len(case.config["shapes"])):
        x = case.input(f"x{index}")
        frames = x.shape[2]
        y = module.temporal_transformer(x.transpose(1, 2).flatten(0, 1), frames)
        outputs[f"y{index}"] = y.unflatten(0, (-1, frames)).transpose(1, 2)
    case.check_all(outputs)


@pytest.mark.golden_case("appearance_banks")
@torch.inference_mode()
def test_reference_banks(case: Case) -> None:
    network = megactor_reference_network(case)
    context = network.context_keys_values(case.input("emb"))
    bank = network(case.input("latent"), timesteps_of(case), context)
    case.check_all({f"bank.{name}": tokens for name, tokens in bank.items()})


@pytest.mark.golden_case("unet_cfg")
@torch.inference_mode()
def test_guided_forward_and_taps(case: Case) -> None:
    denoiser, network = megactor_denoiser(case), megactor_reference_network(case)
    taps = watch(denoiser)
    timesteps, tokens = timesteps_of(case), case.input("emb")
    bank = network(case.input("ref_latent"), timesteps, network.context_keys_values(tokens))
    sample = torch.cat([case.input("noisy_latent"), static_conditions(case, denoiser)], dim=1)
    clips = len(sample)
    prediction = denoiser(
        guided(sample),
        guided(timesteps),
        denoiser.context_keys_values(guided(tokens)),
        denoiser.reference_keys_values(bank),
        rows=2 * clips,
        conditional_rows=clips,
    )
    uncond, cond = prediction.split(clips)
    outputs = {
        "pred_uncond": uncond,
        "pred_cond": cond,
        "guided": uncond + case.config["guidance"] * (cond - uncond),
    }
    for name, output in taps.items():
        rows = output.unflatten(0, (-1, sample.shape[2])).transpose(1, 2)
        outputs |= {f"tap.{name}.uncond": rows[:clips], f"tap.{name}.cond": rows[-clips:]}
    case.check_all(outputs, "pred_uncond", "pred_cond", "guided", "tap.*.uncond", "tap.*.cond")


@pytest.mark.golden_case("unet_plain")
@torch.inference_mode()
def test_plain_forward_depends_on_the_window(case: Case) -> None:
    denoiser = megactor_denoiser(case)
    sample = torch.cat([case.input("noisy_latent"), static_conditions(case, denoiser)], dim=1)
    context = denoiser.context_keys_values(case.input("emb"))
    case.check_all(
        {
            f"pred_first_{frames}_frames": denoiser(sample[:, :, :frames], timesteps_of(case), context)
            for frames in case.config["windows"]
        }
    )


def test_full_size_networks_have_eight_heads() -> None:
    assert unet_config({"block_out_channels": [32, 64], "cross_attention_dim": 8}).num_attention_heads == 8
