"""X-Portrait's networks give the numbers of the public reference implementation."""

from __future__ import annotations

import re
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
    official_modules,
    reference_network,
)

from megactor_core.models.attention import Pass, project
from megactor_core.models.denoiser import Control, KeyValues
from megactor_core.models.sd15.unet import DenoisingUNet


def timestep_of(case: Case) -> Tensor:
    return torch.as_tensor(case.input("t")).reshape(-1)


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
    timestep = timestep_of(case)
    hints = {"pose": case.input("hint"), "local": local_hint(case)}
    outputs = {
        "time_emb": pose.time_embedding(pose.time_proj(timestep)),
        "pose_hint_features": pose.hint_features(hints["pose"]),
        "local_hint_features": local.hint_features(hints["local"]),
    }
    for name, network in (("pose", pose), ("local", local)):
        context = network.context_keys_values(context_of(case))
        control = network(case.input("x"), timestep, context, outputs[f"{name}_hint_features"])
        for index, residual in enumerate((*control.skips, control.middle)):
            outputs[f"{name}_control.{index:02}"] = residual
    case.check_all(outputs, "time_emb", "pose_hint_features", "pose_control.*", "local_control.*")


@pytest.mark.golden_case("reference_banks", family="xportrait")
@torch.inference_mode()
def test_reference_banks(case: Case) -> None:
    bank = bank_of(case, case.input("ref_latent")[:1])
    outputs = {f"bank.{index:02}": tokens for index, tokens in enumerate(bank.values())}
    for name, spec in case.spec["outputs"].items():
        if spec["shape"][0] > 1:  # those of several frames, which are all the same
            outputs[name] = outputs[name].expand(len(case.input("ref_latent")), -1, -1)
    case.check_all(outputs, "bank.*")


def _watch(network: DenoisingUNet) -> dict[str, Tensor]:
    """Outputs by official name, of the conditional row or of the row for all."""
    taps: dict[str, Tensor] = {}
    for name, module in official_modules(network).items():
        module.register_forward_hook(lambda _m, _i, output, name=name: taps.__setitem__(name, output))
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

    def predict(count: int, controls: tuple[str, ...]) -> Tensor:
        control = control_of(case, controls) if controls else None
        options = {"control": control, "reference": reference(count) if count else None}
        return network(sample, timestep, context, **options)[0].transpose(0, 1)

    taps = _watch(network)
    both = ("face_control", "patch_control")
    outputs = {"eps_cond": predict(1, both)}
    outputs |= {f"tap_cond.{name}": output for name, output in taps.items()}
    partial = {
        "eps_pose_and_reference": (1, both[:1]),
        "eps_local_and_reference": (1, both[1:]),
        "eps_reference_only": (1, ()),
        "eps_two_references": (2, both),
        "eps_uncond": (0, ()),
    }
    outputs |= {name: predict(*given) for name, given in partial.items() if case.stores(name)}
    kinds = ("eps_cond", "eps_uncond", "eps_guided", "tap_cond.*")
    case.check_all(outputs, *kinds, elsewhere={"eps_guided"})

    rows = network(
        sample, timestep, context, reference(1), rows=2, conditional_rows=1, control=control_of(case)
    ).transpose(1, 2)
    case.check("eps_uncond", rows[0])
    case.check("eps_cond", rows[1])
    case.check("eps_guided", torch.lerp(rows[0], rows[1], float(case.config["guidance"])))


@pytest.mark.golden_case("components", family="xportrait")
@torch.inference_mode()
def test_single_modules(case: Case) -> None:
    network, writer = denoiser(case), reference_network(case)
    timestep, modules = timestep_of(case), official_modules(network)
    writing = official_modules(writer)
    outputs = {"time_emb": network.time_embedding(network.time_proj(timestep))}

    def shared(owner: DenoisingUNet, given: Tensor, **options: object) -> Pass:
        context = owner.context_keys_values(context_of(case))
        embedding = owner.embed_time(timestep, torch.float32)
        return Pass(num_frames=len(given), embedding=embedding, context=context, **options)  # type: ignore[arg-type]

    def attend(name: str) -> None:
        given, attention = case.input("transformer_in"), modules[name]
        block = attention.transformer_blocks[0]
        outputs[f"{name}.plain"] = attention(given, shared(network, given))
        # Every frame reads a bank of its own here, as if it were a window.
        tokens, frames = project(block.attn1, case.input("transformer_bank")), len(given)
        rows = {"rows": frames, "conditional_rows": frames, "reference_rows": frames}
        reading = shared(network, given, reference={block.name: tokens}, **rows)
        outputs[f"{name}.read"] = attention(given, replace(reading, num_frames=1))
        written: dict[str, Tensor] = {}
        outputs[f"reference.{name}.write"] = writing[name](given, shared(writer, given, written=written))
        outputs[f"reference.{name}.bank"] = written[block.name]

    for name in case.spec["outputs"]:
        if match := re.fullmatch(r"(in|out)put_blocks_motion_module\.(\d+)", name):
            given = case.input(f"motion_{match[1]}{match[2]}")
            outputs[name] = modules[name](given, shared(network, given))
        elif name.endswith(".plain"):
            attend(name.removesuffix(".plain"))
        elif name.startswith(("input_blocks.", "output_blocks.")) and name.endswith(".0"):
            given = case.input("resblock_in")
            outputs[name] = modules[name](given, shared(network, given))
    motion = ("input_blocks_motion_module.*", "output_blocks_motion_module.*")
    layers = ("*.plain", "*.read", "reference.*.write", "reference.*.bank", "input_blocks.*.0")
    case.check_all(outputs, "time_emb", *motion, *layers)
