"""LoRA files of rank 2 by every naming that users' files have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
Naming = Callable[[str, Tensor, Tensor], State]

SPATIAL = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
FEED_FORWARD = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"
CONVOLUTION = "down_blocks.1.resnets.0.conv1"
MOTION = "up_blocks.0.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_v"
LAYERS = (SPATIAL, OUT, FEED_FORWARD, CONVOLUTION, MOTION)
"""Layers that the tiny models of all families have."""
COMPVIS = {
    SPATIAL: "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
    OUT: "output_blocks_3_1_transformer_blocks_0_attn2_to_out_0",
    FEED_FORWARD: "middle_block_1_transformer_blocks_0_ff_net_0_proj",
    CONVOLUTION: "input_blocks_4_0_in_layers_2",
}
"""Those of Stable Diffusion as kohya's tools name them after CompVis."""
RANK = 2


def factors(denoiser: nn.Module, layer: str) -> tuple[Tensor, Tensor]:
    """Down and up of a layer, the same for every naming."""
    weight = denoiser.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    generator = torch.Generator().manual_seed(len(layer))
    down = torch.randn(RANK, *weight.shape[1:], generator=generator)
    return down, torch.randn(weight.shape[0], RANK, *[1] * (weight.ndim - 2), generator=generator)


def kohya(layer: str, down: Tensor, up: Tensor) -> State:
    return kohya_layer("lora_unet_" + layer.replace(".", "_"), down, up)


def kohya_compvis(layer: str, down: Tensor, up: Tensor) -> State:
    return kohya_layer("lora_unet_" + COMPVIS[layer], down, up)


def kohya_layer(name: str, down: Tensor, up: Tensor) -> State:
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(1.0),
    }


def peft(layer: str, down: Tensor, up: Tensor) -> State:
    name = f"base_model.model.{layer}"
    return {f"{name}.lora_A.default.weight": down, f"{name}.lora_B.default.weight": up}


def bare(layer: str, down: Tensor, up: Tensor) -> State:
    return {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}


def diffusers(layer: str, down: Tensor, up: Tensor) -> State:
    return bare(f"unet.{layer}", down, up)


def comfyui(layer: str, down: Tensor, up: Tensor) -> State:
    """As ComfyUI's own loader expects it, and as our training writes it."""
    return bare(f"diffusion_model.{layer}", down, up)


def diffusers_2023(layer: str, down: Tensor, up: Tensor) -> State:
    name = f"unet.{layer}.lora_linear_layer"
    return {f"{name}.down.weight": down, f"{name}.up.weight": up}


def processors(layer: str, down: Tensor, up: Tensor) -> State:
    """AnimateDiff's motion LoRAs, and diffusers' of early 2023."""
    parent, _, last = layer.removesuffix(".0").rpartition(".")
    return {
        f"{parent}.processor.{last}_lora.down.weight": down,
        f"{parent}.processor.{last}_lora.up.weight": up,
    }


def motion_adapter(layer: str, down: Tensor, up: Tensor) -> State:
    """diffusers' AnimateDiff names."""
    layer = layer.replace("temporal_transformer.", "").replace("attention_blocks.1", "attn2")
    return diffusers(layer, down, up)


NAMINGS: tuple[tuple[Naming, tuple[str, ...]], ...] = (
    (kohya, LAYERS),
    (kohya_compvis, tuple(COMPVIS)),
    (peft, LAYERS),
    (bare, LAYERS),
    (diffusers, LAYERS),
    (comfyui, LAYERS),
    (diffusers_2023, (SPATIAL, OUT)),
    (processors, (SPATIAL, OUT, MOTION)),
    (motion_adapter, (MOTION,)),
)
"""Every naming with layers that it can name."""


def lora(denoiser: nn.Module, naming: Naming, layers: tuple[str, ...]) -> State:
    """A LoRA of some layers."""
    state: State = {}
    for layer in layers:
        state |= naming(layer, *factors(denoiser, layer))
    return state
