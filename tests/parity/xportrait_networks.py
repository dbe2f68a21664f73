"""X-Portrait's networks of a golden case; the formula knows their weights by the official names."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import torch
from formula import Case, weight
from torch import Tensor, nn

from megactor_core.models.denoiser import Control
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.models.sd15.controlnet import ControlNet
from megactor_core.models.sd15.reference import ReferenceNetwork
from megactor_core.models.sd15.unet import DenoisingUNet, UNetTrunk
from megactor_core.weights.compvis import unet_key

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"


def _official_names() -> dict[str, str]:
    names = {}
    for manifest in ("xportrait_unet_temporal", "xportrait_pose_controlnet"):
        for key in json.loads((MANIFESTS / f"{manifest}.json").read_text()):
            key = key.removeprefix("model.diffusion_model.").removeprefix("pose_control_model.")
            name = unet_key(key)
            assert name is not None
            names[name] = key
    return names


OFFICIAL_NAMES = _official_names()


def official_name(name: str, levels_with_attention: set[str]) -> str:
    """CompVis name of a parameter; an upsampler's depends on whether an attention comes before it."""
    if ".conv_shortcut." in name:  # where widths differ; in the official network not on every level
        key = OFFICIAL_NAMES[name.replace(".conv_shortcut.", ".conv1.")]
        return key.replace(".in_layers.2.", ".skip_connection.")
    key = OFFICIAL_NAMES[name]
    if match := re.match(r"up_blocks\.(\d+)\.upsamplers", name):
        part = 2 if match[1] in levels_with_attention else 1
        return re.sub(r"^(output_blocks\.\d+)\.\d+\.", rf"\1.{part}.", key)
    return key


def official_layout(module: nn.Module, prefix: str) -> dict[str, nn.Parameter]:
    """Parameters by official name."""
    parameters = dict(module.named_parameters())
    levels = {match[1] for name in parameters if (match := re.match(r"up_blocks\.(\d+)\.attentions", name))}
    return {prefix + official_name(name, levels): parameter for name, parameter in parameters.items()}


def fill(case: Case, module: nn.Module, prefix: str, complete: bool = True) -> Any:
    """Weights by formula; a complete network's keys and shapes are compared with the golden fingerprint."""
    layout = official_layout(module, prefix)
    if complete and prefix in case.spec["weights"]:
        lines = sorted(f"{key}:{','.join(map(str, p.shape))}" for key, p in layout.items())
        assert zlib.crc32("\n".join(lines).encode()) == case.spec["weights"][prefix]["layout_crc32"]
    with torch.no_grad():
        for key, parameter in layout.items():
            parameter.copy_(torch.from_numpy(weight(case.salt, key, tuple(parameter.shape))))
    return module.eval()


def unet_config(case: Case, **changes: Any) -> UNetConfig:
    config = case.config
    widths = tuple(config["model_channels"] * factor for factor in config["channel_mult"])
    return UNetConfig(
        in_channels=4,
        block_out_channels=widths,
        attention_levels=(True,) * (len(widths) - 1) + (False,),
        cross_attention_dim=config["context_dim"],
        norm_over_frames=False,
        motion_after_upsampler=True,
        motion_max_positions=24,
        reading_levels="all",
        **changes,
    )


def denoiser(case: Case) -> DenoisingUNet:
    return fill(case, DenoisingUNet(unet_config(case), None), "model.diffusion_model.")


def official_modules(network: UNetTrunk) -> dict[str, nn.Module]:
    """Modules by official name: blocks (by their last module), their layers, motion modules."""
    modules: dict[str, nn.Module] = {"input_blocks.0": network.conv_in}
    modules["middle_block"] = network.mid_block.resnets[1]
    middle = (network.mid_block.resnets[0], network.mid_block.attentions[0], network.mid_block.resnets[1])
    modules |= {f"middle_block.{part}": module for part, module in enumerate(middle)}
    for side, levels, blocks, first in (
        ("input", network.down_blocks, len(network.down_blocks[0].resnets), 1),
        ("output", network.up_blocks, len(network.up_blocks[0].resnets), 0),
    ):
        for level, block in enumerate(levels):
            for index in range(blocks):
                layers = [block.resnets[index]]
                if hasattr(block, "attentions"):
                    layers.append(block.attentions[index])
                if side == "output" and index == blocks - 1:
                    layers += block.upsamplers
                name = f"{side}_blocks.{first + 3 * level + index}"
                modules[name] = layers[-1]
                modules |= {f"{name}.{part}": layer for part, layer in enumerate(layers)}
                if hasattr(block, "motion_modules"):
                    motion = f"{side}_blocks_motion_module.{blocks * level + index}"
                    modules[motion] = block.motion_modules[index]
            if side == "input":
                for downsampler in block.downsamplers:
                    modules[f"input_blocks.{3 * level + 3}"] = downsampler
    return modules


def reference_network(case: Case) -> ReferenceNetwork:
    network = ReferenceNetwork(unet_config(case, out_channels=0, motion_modules=False))
    return fill(case, network, "appearance_control_model.", complete=False)


def control_network(case: Case, prefix: str) -> ControlNet:
    return fill(case, ControlNet(unet_config(case, out_channels=0, motion_modules=False)), prefix)


def control_networks(case: Case) -> dict[str, ControlNet]:
    return {
        "face_control": control_network(case, "pose_control_model."),
        "patch_control": control_network(case, "local_pose_control_model."),
    }


def local_hint(case: Case) -> Tensor:
    """The drawn tensor inside the listed patches, -1 outside; as it is where no patches are listed."""
    drawn = case.input("local_hint")
    if "patches" not in case.config:
        return drawn
    hint = torch.full_like(drawn, -1)
    for top, bottom, left, right in case.config["patches"]:
        hint[..., top:bottom, left:right] = drawn[..., top:bottom, left:right]
    return hint


def added(controls: list[Control]) -> Control:
    skips = (torch.stack(parts).sum(dim=0) for parts in zip(*(c.skips for c in controls), strict=True))
    return Control(tuple(skips), torch.stack([c.middle for c in controls]).sum(dim=0))
