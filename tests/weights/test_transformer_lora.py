"""LoRAs of PixArt-alpha and Latte, by every naming users' files have, on the diffusion transformer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lora_files import RANK, Naming, State, bare, comfyui, factors, kohya, lora, peft
from safetensors.torch import save_file
from tiny_model import tiny_networks
from torch import Tensor, nn

from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.weights.lora import merge_lora
from megactor_core.weights.random_model import tiny_config

SPATIAL = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.2.attn2.to_out.0")
TEMPORAL = "motion_modules.1.attn1.to_v"
OTHERS = ("transformer_blocks.1.ff.net.0.proj", "adaln_single.linear")
LAYERS = (*SPATIAL, TEMPORAL, *OTHERS)


@pytest.fixture
def denoiser() -> nn.Module:
    return tiny_networks(tiny_config(FAMILIES["megactor-sigma-dit"].config)).denoiser


def pixart(layer: str, down: Tensor, up: Tensor) -> State:
    """As diffusers saves those of PixArt's pipelines."""
    return bare(f"transformer.{layer}", down, up)


def lattes(naming: Naming) -> Naming:
    """The same by Latte's name of temporal blocks."""
    return lambda layer, down, up: naming(
        layer.replace("motion_modules", "temporal_transformer_blocks"), down, up
    )


@pytest.mark.parametrize(
    "naming", [comfyui, pixart, peft, kohya, lattes(pixart), lattes(peft), lattes(kohya)]
)
def test_every_naming_changes_the_layers_it_means(
    naming: Naming, denoiser: nn.Module, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    state = lora(denoiser, naming, LAYERS)
    save_file(state, tmp_path / "lora.safetensors")

    report = merge_lora(denoiser, tmp_path / "lora.safetensors", 0.5)

    assert sorted(report.merged) == sorted(LAYERS) and not report.unmatched
    alpha = 1 / RANK if any(key.endswith(".alpha") for key in state) else 1
    for key, value in denoiser.state_dict().items():
        expected = before[key]
        if (layer := key.removesuffix(".weight")) in LAYERS:
            down, up = factors(denoiser, layer)
            expected = expected + 0.5 * alpha * up @ down
        torch.testing.assert_close(value, expected)


def test_input_and_output_of_the_public_transformer_are_left_out(denoiser: nn.Module, tmp_path: Path) -> None:
    state = lora(denoiser, pixart, LAYERS)
    state |= pixart("pos_embed.proj", torch.ones(RANK, 4, 2, 2), torch.ones(32, RANK, 1, 1))
    state |= pixart("proj_out", torch.ones(RANK, 32), torch.ones(32, RANK))
    save_file(state, tmp_path / "lora.safetensors")

    report = merge_lora(denoiser, tmp_path / "lora.safetensors")

    assert sorted(report.merged) == sorted(LAYERS) and len(report.unmatched) == 4


def test_a_lora_of_another_width_or_model_is_refused_and_changes_nothing(
    denoiser: nn.Module, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    path = tmp_path / "lora.safetensors"
    save_file(pixart(SPATIAL[0], torch.ones(RANK, 1152), torch.ones(1152, RANK)), path)
    with pytest.raises(InputError, match=r"of another size .*Use a LoRA of PixArt-alpha 512 or Latte-1"):
        merge_lora(denoiser, path)
    unet = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file(kohya(unet, torch.ones(RANK, 320), torch.ones(320, RANK)), path)
    with pytest.raises(InputError, match=r"fits no layer of this model.*PixArt-alpha"):
        merge_lora(denoiser, path)
    assert all(torch.equal(value, before[key]) for key, value in denoiser.state_dict().items())
