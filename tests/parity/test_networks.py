"""The networks give the numbers of the public reference implementation."""

from __future__ import annotations

import pytest
import torch
from formula import Case, layout_crc32
from networks import driving_modulation, megactor_denoiser, megactor_reference_network, unet_config

from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.sd15.temporal import MotionModule
from megactor_core.models.sd15.unet import DenoisingUNet


def static_conditions(case: Case, denoiser: DenoisingUNet) -> torch.Tensor:
    driving = denoiser.condition_input_layer(case.input("driving"), driving_modulation(case, denoiser))
    return torch.cat([case.input("concat_latent"), case.input("background_mask"), driving], dim=1)


@pytest.mark.golden_case("driven_encoder")
@torch.inference_mode()
def test_driving_encoder(case: Case) -> None:
    encoder = case.fill(DrivingEncoder(DrivingEncoderConfig()), "unet.condition_input_layer.")
    group = case.spec["weights"]["unet.condition_input_layer."]
    assert layout_crc32(encoder, "unet.condition_input_layer.") == group["layout_crc32"]
    reference_image = case.input("reference_u8").float() / 255
    modulation = encoder.modulation(reference_image)
    case.check("scale_shift", modulation)
    case.check("refer_feature", encoder.refer_convs(reference_image * 2 - 1))
    for index in range(len(case.config["driving_fhw"])):
        case.check(f"y{index}", encoder(case.input(f"driving{index}"), modulation))
    frames = case.input("driving0").shape[2]
    features = encoder.features(case.input("driving0")).unflatten(0, (-1, frames)).transpose(1, 2)
    case.check("layer3_before_modulation", features)


@pytest.mark.golden_case("motion_module")
@torch.inference_mode()
def test_motion_module(case: Case) -> None:
    channels = case.config["channels"]
    module = case.fill(MotionModule(channels, heads=8, positions=32, groups=32), case.config["prefix"])
    for index, shape in enumerate(case.config["shapes"]):
        x = case.input(f"x{index}").transpose(1, 2).flatten(0, 1)
        y = module.temporal_transformer(x, shape[2]).unflatten(0, (-1, shape[2])).transpose(1, 2)
        case.check(f"y{index}", y)


@pytest.mark.golden_case("appearance_banks")
@torch.inference_mode()
def test_reference_banks(case: Case) -> None:
    network = megactor_reference_network(case)
    context = network.context_keys_values(case.input("emb"))
    bank = network(case.input("latent"), torch.tensor([case.input("t")]), context)
    assert {f"bank.{name}" for name in bank} == set(case.spec["outputs"])
    for name, tokens in bank.items():
        case.check(f"bank.{name}", tokens)


@pytest.mark.golden_case("unet_cfg")
@torch.inference_mode()
def test_guided_forward_and_taps(case: Case) -> None:
    denoiser, network = megactor_denoiser(case), megactor_reference_network(case)
    taps: dict[str, torch.Tensor] = {}
    modules = {"conv_in": denoiser.conv_in, "mid": denoiser.mid_block}
    modules |= {f"down{i}": level for i, level in enumerate(denoiser.down_blocks)}
    modules |= {f"up{i}": level for i, level in enumerate(denoiser.up_blocks)}
    first = denoiser.down_blocks[0]
    modules |= {"down0.resnet0": first.resnets[0], "down0.attention0": first.attentions[0]}
    modules |= {"down0.motion0": first.motion_modules[0]}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _m, _i, output, name=name: taps.__setitem__(
                name, output[0] if isinstance(output, tuple) else output
            )
        )
    timestep, tokens = torch.tensor([case.input("t")]), case.input("emb")
    bank = network(case.input("ref_latent"), timestep, network.context_keys_values(tokens))
    sample = torch.cat([case.input("noisy_latent"), static_conditions(case, denoiser)], dim=1)
    prediction = denoiser(
        sample,
        timestep,
        denoiser.context_keys_values(tokens),
        denoiser.reference_keys_values(bank),
        rows=2,
        reading_rows=1,
    )
    case.check("pred_uncond", prediction[:1])
    case.check("pred_cond", prediction[1:])
    case.check("guided", prediction[:1] + case.config["guidance"] * (prediction[1:] - prediction[:1]))
    frames = sample.shape[2]
    for output in case.spec["outputs"]:
        if output.startswith("tap."):
            name, row = output.removeprefix("tap.").rsplit(".", 1)
            rows = taps[name].unflatten(0, (-1, frames)).transpose(1, 2)
            case.check(output, rows[-1:] if row == "cond" else rows[:1])


@pytest.mark.golden_case("unet_plain")
@torch.inference_mode()
def test_plain_forward_depends_on_the_window(case: Case) -> None:
    denoiser = megactor_denoiser(case)
    sample = torch.cat([case.input("noisy_latent"), static_conditions(case, denoiser)], dim=1)
    context = denoiser.context_keys_values(case.input("emb"))
    for frames in case.config["windows"]:
        prediction = denoiser(sample[:, :, :frames], torch.tensor([case.input("t")]), context)
        case.check(f"pred_first_{frames}_frames", prediction)


def test_full_size_networks_have_eight_heads() -> None:
    assert unet_config({"block_out_channels": [32, 64], "cross_attention_dim": 8}).num_attention_heads == 8
