"""MegActor-Sigma's networks give the numbers of the public reference implementation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from formula import Case, layout_crc32
from networks import megactor_reference_network, sigma_denoiser, sigma_driving, sigma_sound

from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.models.attention import Pass, project
from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.sd15.attention import TransformerBlock
from megactor_core.models.sd15.resnet import ResnetBlock
from megactor_core.models.sd15.temporal import MotionModule

DRIVING_ENCODER = MEGACTOR_SIGMA.driving_encoder
assert DRIVING_ENCODER is not None


@pytest.mark.golden_case("condition_input_layer", family="megactor_sigma")
@torch.inference_mode()
def test_driving_encoder(case: Case) -> None:
    prefix = "unet.condition_input_layer."
    encoder = DrivingEncoder(DRIVING_ENCODER)
    assert layout_crc32(encoder, prefix) == case.spec["weights"][prefix]["layout_crc32"]
    case.fill(encoder, prefix)
    for index in range(len(case.config["fhw"])):
        frames = case.input(f"x{index}")
        case.check(f"y{index}", encoder(frames, encoder.modulation(frames[:, :, 0])))


@pytest.mark.golden_case("motion_module", family="megactor_sigma")
@torch.inference_mode()
def test_motion_module(case: Case) -> None:
    module = case.fill(
        MotionModule(case.config["channels"], heads=8, positions=32, groups=32), case.config["prefix"]
    )
    for index, shape in enumerate(case.config["shapes"]):
        x = case.input(f"x{index}").transpose(1, 2).flatten(0, 1)
        y = module.temporal_transformer(x, shape[2]).unflatten(0, (-1, shape[2])).transpose(1, 2)
        case.check(f"y{index}", y)


@pytest.mark.golden_case("resnet_block3d", family="megactor_sigma")
@torch.inference_mode()
def test_residual_block_normed_over_frames(case: Case) -> None:
    config = case.config
    block = ResnetBlock(config["in_channels"], config["out_channels"], config["temb_channels"], groups=32)
    case.fill(block, config["prefix"])
    # This case's block was built alone, with its class's default; inside the networks it is 1e-5.
    block.norm1.eps = block.norm2.eps = 1e-6
    frames = case.input("x").transpose(1, 2).flatten(0, 1)
    embedding = torch.nn.functional.silu(case.input("temb"))
    for name, count in (("y", len(frames)), ("y_first_frame_alone", 1)):
        output = block(frames[:count], Pass(count, embedding, context={}))
        case.check(name, output.transpose(0, 1)[None])


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
        reading_rows=frames,
        audio={"block": project(block.attn_audio, case.input("audio"))},
    )
    for weight in config["weights"]:
        weighed = replace(shared, audio_weight=weight)
        case.check(f"y_audio_weight_{weight}", block(case.input("hidden"), weighed))


@pytest.mark.golden_case("unet_audio_plain", family="megactor_sigma")
@torch.inference_mode()
def test_forward_without_reference(case: Case) -> None:
    denoiser = sigma_denoiser(case)
    sample = torch.cat([case.input("latent"), sigma_driving(denoiser, case.input("driving"))], dim=1)
    for weight in case.config["weights"]:
        prediction = denoiser(
            sample,
            torch.tensor([case.input("t")]),
            denoiser.context_keys_values(case.input("text")),
            audio=sigma_sound(denoiser, case),
            audio_weight=weight,
        )
        case.check(f"pred_audio_weight_{weight}", prediction)


@pytest.mark.golden_case("unet_audio_reference", family="megactor_sigma")
@torch.inference_mode()
def test_forward_with_reference_and_taps(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    taps: dict[str, torch.Tensor] = {}
    modules = {"conv_in": denoiser.conv_in, "mid": denoiser.mid_block}
    modules |= {f"down{i}": level for i, level in enumerate(denoiser.down_blocks)}
    modules |= {f"up{i}": level for i, level in enumerate(denoiser.up_blocks)}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _m, _i, output, name=name: taps.__setitem__(
                name, output[0] if isinstance(output, tuple) else output
            )
        )
    timestep, text = torch.tensor([case.input("t")]), case.input("text")
    bank = network(case.input("ref_latent"), timestep, network.context_keys_values(text))
    for name, tokens in bank.items():
        case.check(f"bank.{name}", tokens)
    prediction = denoiser(
        torch.cat([case.input("latent"), sigma_driving(denoiser, case.input("driving"))], dim=1),
        timestep,
        denoiser.context_keys_values(text),
        denoiser.reference_keys_values(bank),
        audio=sigma_sound(denoiser, case),
    )
    case.check("pred", prediction)
    frames = case.input("latent").shape[2]
    for name, output in taps.items():
        case.check(f"tap.{name}", output.unflatten(0, (-1, frames)).transpose(1, 2))
    # what the reference network computes after its last norm is never used
    checked = {"pred", "appearance_last_hidden", *(f"bank.{n}" for n in bank), *(f"tap.{n}" for n in taps)}
    assert checked == set(case.spec["outputs"])


@pytest.mark.golden_case("unet_audio_cfg", family="megactor_sigma")
@torch.inference_mode()
def test_guided_forward(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    timestep, text = torch.tensor([case.input("t")]), case.input("text")
    bank = network(case.input("ref_latent"), timestep, network.context_keys_values(text))
    driving = case.input("driving")
    both = torch.cat([sigma_driving(denoiser, torch.zeros_like(driving)), sigma_driving(denoiser, driving)])
    rows = denoiser(
        torch.cat([case.input("latent").expand(2, -1, -1, -1, -1), both], dim=1),
        timestep,
        denoiser.context_keys_values(text),
        denoiser.reference_keys_values(bank),
        reading_rows=1,
        audio=sigma_sound(denoiser, case),
    )
    case.check("pred_uncond", rows[:1])
    case.check("pred_cond", rows[1:])
    case.check("guided", torch.lerp(rows[:1], rows[1:], case.config["guidance"]))
