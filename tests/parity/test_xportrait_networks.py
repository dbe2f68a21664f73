"""X-Portrait's networks give the numbers of the public reference implementation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from formula import Case
from torch import Tensor
from xportrait_networks import (
    added,
    control_networks,
    denoiser,
    local_hint,
    reference_network,
)

from megactor_core.models.attention import Pass, project
from megactor_core.models.denoiser import Control, KeyValues
from megactor_core.models.sd15.unet import DenoisingUNet


def frames_of(case: Case) -> list[int]:
    return case.config["store_frames"]


def timestep_of(case: Case) -> Tensor:
    return torch.tensor([case.input("t")])


def context_of(case: Case) -> Tensor:
    """All frames have the same context."""
    return case.input("context")[:1]


def control_of(case: Case, names: tuple[str, ...] = ("face_control", "patch_control")) -> Control:
    networks = control_networks(case)
    hints = {"face_control": case.input("hint"), "patch_control": local_hint(case)}
    controls = []
    for name in names:
        network = networks[name]
        context = network.context_keys_values(context_of(case))
        features = network.hint_features(hints[name])
        controls.append(network(case.input("x"), timestep_of(case), context, features))
    return added(controls)


def bank_of(case: Case, latents: Tensor) -> dict[str, Tensor]:
    network = reference_network(case)
    return network(latents, timestep_of(case), network.context_keys_values(context_of(case)))


@pytest.mark.golden_case("controlnets", family="xportrait")
@torch.inference_mode()
def test_control_networks(case: Case) -> None:
    networks = control_networks(case)
    pose, local = networks["face_control"], networks["patch_control"]
    timestep, kept = timestep_of(case), frames_of(case)
    projected = pose.time_proj(timestep)
    case.check("time_emb", pose.time_embedding(projected))
    hints = {"pose": case.input("hint"), "local": local_hint(case)}
    case.check("pose_hint_features", pose.hint_features(hints["pose"])[kept])
    for name, network in (("pose", pose), ("local", local)):
        context = network.context_keys_values(context_of(case))
        control = network(case.input("x"), timestep, context, network.hint_features(hints[name]))
        for index, residual in enumerate((*control.skips, control.middle)):
            case.check(f"{name}_control.{index:02}", residual[kept])


@pytest.mark.golden_case("reference_banks", family="xportrait")
@torch.inference_mode()
def test_reference_banks(case: Case) -> None:
    bank = bank_of(case, case.input("ref_latent")[:1])
    assert len(bank) == len(case.spec["outputs"])
    for index, tokens in enumerate(bank.values()):
        case.check(f"bank.{index:02}", tokens)


def _watch(network: DenoisingUNet) -> dict[str, Tensor]:
    """Outputs by official name, of the conditional row or of the row for all."""
    taps: dict[str, Tensor] = {}

    def tap(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _m, _i, output: taps.__setitem__(name, output))

    tap("input_blocks.0", network.conv_in)
    for level, block in enumerate(network.down_blocks):
        for index, resnet in enumerate(block.resnets):
            name = f"input_blocks.{1 + 3 * level + index}"
            tap(name, block.attentions[index] if hasattr(block, "attentions") else resnet)
            tap(f"input_blocks_motion_module.{2 * level + index}", block.motion_modules[index])
    tap("middle_block", network.mid_block.resnets[1])
    for level, block in enumerate(network.up_blocks):
        for index, resnet in enumerate(block.resnets):
            name = f"output_blocks.{3 * level + index}"
            last = index == len(block.resnets) - 1 and len(block.upsamplers) > 0
            before = block.attentions[index] if hasattr(block, "attentions") else resnet
            tap(name, block.upsamplers[0] if last else before)
            tap(f"output_blocks_motion_module.{3 * level + index}", block.motion_modules[index])
    return taps


@pytest.mark.golden_case("unet_eps", family="xportrait")
@torch.inference_mode()
def test_noise_prediction(case: Case) -> None:
    network, timestep = denoiser(case), timestep_of(case)
    sample = case.input("x").transpose(0, 1)[None]
    context = network.context_keys_values(context_of(case))
    latents = {
        1: case.input("ref_latent")[:1],
        2: torch.cat([case.input("ref_latent")[:1], case.input("second_ref_latent")[:1]]),
    }

    def reference(count: int) -> dict[str, KeyValues]:
        bank = bank_of(case, latents[count])
        return network.reference_keys_values({name: t.flatten(0, 1)[None] for name, t in bank.items()})

    def predict(name: str, count: int, controls: tuple[str, ...]) -> None:
        control = control_of(case, controls) if controls else None
        options = {"control": control, "reference": reference(count) if count else None}
        prediction = network(sample, timestep, context, **options)
        case.check(name, prediction[0].transpose(0, 1))

    taps = _watch(network)
    both = ("face_control", "patch_control")
    predict("eps_cond", 1, both)
    for output in case.spec["outputs"]:
        if output.startswith("tap_cond."):
            case.check(output, taps[output.removeprefix("tap_cond.")][frames_of(case)])
    predict("eps_pose_and_reference", 1, both[:1])
    predict("eps_local_and_reference", 1, both[1:])
    predict("eps_reference_only", 1, ())
    predict("eps_two_references", 2, both)
    predict("eps_uncond", 0, ())

    rows = network(
        sample, timestep, context, reference(1), rows=2, reading_rows=1, control=control_of(case)
    ).transpose(1, 2)
    case.check("eps_uncond", rows[0])
    case.check("eps_cond", rows[1])
    case.check("eps_guided", torch.lerp(rows[0], rows[1], float(case.config["guidance"])))


@pytest.mark.golden_case("components", family="xportrait")
@torch.inference_mode()
def test_single_modules(case: Case) -> None:
    network, writer = denoiser(case), reference_network(case)
    kept, timestep = frames_of(case), timestep_of(case)
    frames = case.input("transformer_in").shape[0]
    case.check("time_emb", network.time_embedding(network.time_proj(timestep)))

    def shared(owner: DenoisingUNet, **options: object) -> Pass:
        context = owner.context_keys_values(context_of(case))
        embedding = owner.embed_time(timestep, torch.float32)
        return Pass(num_frames=frames, embedding=embedding, context=context, **options)  # type: ignore[arg-type]

    motion = {
        "input_blocks_motion_module.0": (network.down_blocks[0].motion_modules[0], "motion_in0"),
        "output_blocks_motion_module.2": (network.up_blocks[0].motion_modules[2], "motion_out2"),
    }
    for name, (module, given) in motion.items():
        case.check(name, module(case.input(given), shared(network))[kept])

    attention, name = network.down_blocks[2].attentions[0], "down_blocks.2.attentions.0.transformer_blocks.0"
    given = case.input("transformer_in")
    case.check("input_blocks.7.1.plain", attention(given, shared(network))[kept])
    # Every frame reads a bank of its own here, as if it were a window.
    tokens = project(network.reading_blocks()[name].attn1, case.input("transformer_bank"))
    reading = replace(
        shared(network, rows=frames, reading_rows=frames, reference={name: tokens}), num_frames=1
    )
    case.check("input_blocks.7.1.read", attention(given, reading)[kept])

    written = shared(writer, written={})
    output = writer.down_blocks[2].attentions[0](given, written)
    case.check("reference.input_blocks.7.1.write", output[kept])
    assert written.written is not None
    case.check("reference.input_blocks.7.1.bank", written.written[name][kept])
    resnet = network.down_blocks[2].resnets[0]
    case.check("input_blocks.7.0", resnet(case.input("resblock_in"), shared(network))[kept])
