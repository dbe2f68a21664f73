"""LoRAs by every naming users' files have, and another base under X-Portrait's modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from xportrait_networks import official_name

from megactor_core.errors import InputError
from megactor_core.models.build import build_networks
from megactor_core.models.families import XPORTRAIT
from megactor_core.models.unet import DenoisingUNet
from megactor_core.weights.base_model import swap_base
from megactor_core.weights.lora import merge_lora
from megactor_core.weights.random_model import tiny_config

State = dict[str, torch.Tensor]
SPATIAL = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
FEED_FORWARD = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"
CONVOLUTION = "down_blocks.1.resnets.0.conv1"
MOTION = "up_blocks.0.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_v"
RANK = 2


@pytest.fixture
def denoiser() -> DenoisingUNet:
    torch.manual_seed(0)
    return build_networks(tiny_config(XPORTRAIT)).denoiser


def factors(denoiser: DenoisingUNet, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    weight = denoiser.get_submodule(layer).weight
    generator = torch.Generator().manual_seed(len(layer))
    down = torch.randn(RANK, *weight.shape[1:], generator=generator)
    return down, torch.randn(weight.shape[0], RANK, *[1] * (weight.ndim - 2), generator=generator)


def kohya(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    name = "lora_unet_" + layer.replace(".", "_")
    return {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(1.0),
    }


def peft(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    name = f"base_model.model.{layer}"
    return {f"{name}.lora_A.default.weight": down, f"{name}.lora_B.default.weight": up}


def diffusers(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    return {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}


def diffusers_2023(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    name = f"unet.{layer}.lora_linear_layer"
    return {f"{name}.down.weight": down, f"{name}.up.weight": up}


def processors(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    """AnimateDiff's motion LoRAs, and diffusers' of early 2023."""
    parent, _, last = layer.removesuffix(".0").rpartition(".")
    return {
        f"{parent}.processor.{last}_lora.down.weight": down,
        f"{parent}.processor.{last}_lora.up.weight": up,
    }


def motion_adapter(layer: str, down: torch.Tensor, up: torch.Tensor) -> State:
    """diffusers' AnimateDiff names."""
    layer = layer.replace("temporal_transformer.", "").replace("attention_blocks.1", "attn2")
    return diffusers(layer, down, up)


@pytest.mark.parametrize(
    ("naming", "layers", "alpha"),
    [
        (kohya, (SPATIAL, OUT, FEED_FORWARD, CONVOLUTION, MOTION), 1 / RANK),
        (peft, (SPATIAL, OUT, FEED_FORWARD, CONVOLUTION, MOTION), 1),
        (diffusers, (SPATIAL, OUT, FEED_FORWARD, CONVOLUTION, MOTION), 1),
        (diffusers_2023, (SPATIAL, OUT), 1),
        (processors, (SPATIAL, OUT, MOTION), 1),
        (motion_adapter, (MOTION,), 1),
    ],
)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_every_naming_changes_the_layers_it_means(
    naming: Callable[..., State],
    layers: tuple[str, ...],
    alpha: float,
    scale: float,
    denoiser: DenoisingUNet,
    tmp_path: Path,
) -> None:
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    state: State = {}
    for layer in layers:
        state |= naming(layer, *factors(denoiser, layer))
    save_file(state, tmp_path / "lora.safetensors")

    report = merge_lora(denoiser, tmp_path / "lora.safetensors", scale)

    assert sorted(report.merged) == sorted(layers) and not report.unmatched
    for key, value in denoiser.state_dict().items():
        expected = before[key]
        if (layer := key.removesuffix(".weight")) in layers:
            down, up = factors(denoiser, layer)
            expected = expected + scale * alpha * torch.einsum("or,r...->o...", up.flatten(1), down)
        torch.testing.assert_close(value, expected)


def test_a_lora_of_every_layer_matches_throughout(denoiser: DenoisingUNet, tmp_path: Path) -> None:
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    layers = [name for name, module in denoiser.named_modules() if isinstance(module, kinds)]
    state: State = {}
    for layer in layers:
        state |= kohya(layer, *factors(denoiser, layer))
    save_file(state, tmp_path / "lora.safetensors")
    report = merge_lora(denoiser, tmp_path / "lora.safetensors")
    assert sorted(report.merged) == sorted(layers) and not report.unmatched


def test_what_does_not_match_is_listed(denoiser: DenoisingUNet, tmp_path: Path) -> None:
    state = kohya(SPATIAL, *factors(denoiser, SPATIAL))
    state |= {
        "lora_unet_nowhere.lora_down.weight": torch.ones(2, 2),
        "lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": torch.ones(2, 2),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(2, 2),
    }
    save_file(state, tmp_path / "lora.safetensors")
    report = merge_lora(denoiser, tmp_path / "lora.safetensors")
    assert report.merged == (SPATIAL,) and report.text == 1
    assert sorted(report.unmatched) == sorted(k for k in state if "nowhere" in k or "hada" in k)
    assert "2 names without a match" in str(report) and "1 layers changed" in str(report)


def test_unusable_loras_are_refused_and_change_nothing(denoiser: DenoisingUNet, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    down, up = factors(denoiser, OUT)
    wrong = kohya(SPATIAL, *factors(denoiser, SPATIAL)) | kohya(OUT, torch.ones(RANK, 33), up)
    for state, problem in (
        (wrong, "another architecture"),
        (kohya("double_blocks.0.img_attn.proj", down, up), "fits no layer of this model"),
        ({"encoder.conv_in.weight": down, "decoder.conv_in.weight": up}, "is "),
    ):
        save_file(state, path)
        with pytest.raises(InputError, match=problem):
            merge_lora(denoiser, path)
    with pytest.raises(InputError, match="finite"):
        merge_lora(denoiser, path, float("nan"))
    assert all(torch.equal(value, before[key]) for key, value in denoiser.state_dict().items())


def spatial(denoiser: DenoisingUNet) -> State:
    state = {key: value for key, value in denoiser.state_dict().items() if ".motion_modules." not in key}
    return {key: torch.randn(value.shape) for key, value in state.items()}


def whole_checkpoint(state: State) -> State:
    named = {f"model.diffusion_model.{official_name(key, {'1'})}": value for key, value in state.items()}
    extra = {"first_stage_model.quant_conv.bias": torch.ones(8), "alphas_cumprod": torch.ones(1000)}
    return named | extra


@pytest.fixture
def deep_denoiser() -> DenoisingUNet:
    """With two residual blocks per level, as the CompVis names expect."""
    config = tiny_config(XPORTRAIT).denoiser
    return DenoisingUNet(replace(config, layers_per_block=2, attention_levels=(True, False)), None)


@pytest.mark.parametrize("naming", [whole_checkpoint, dict])
def test_another_base_replaces_all_but_the_temporal_modules(
    naming: Callable[[State], State], deep_denoiser: DenoisingUNet, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in deep_denoiser.state_dict().items()}
    base = spatial(deep_denoiser)
    save_file(naming(base), tmp_path / "base.safetensors")

    assert swap_base(deep_denoiser, tmp_path / "base.safetensors") == len(base)

    for key, value in deep_denoiser.state_dict().items():
        assert torch.equal(value, base.get(key, before[key])), key


def test_what_is_no_base_of_sd15_is_refused(deep_denoiser: DenoisingUNet, tmp_path: Path) -> None:
    path = tmp_path / "base.safetensors"
    before = {key: value.clone() for key, value in deep_denoiser.state_dict().items()}
    base = spatial(deep_denoiser)
    inpainting = {**base, "conv_in.weight": torch.ones(8, 9, 3, 3)}
    xl = {**whole_checkpoint(base), "model.diffusion_model.label_emb.0.0.weight": torch.ones(2, 2)}
    partial = {key: value for key, value in base.items() if not key.startswith("up_blocks")}
    broken = {**base, "conv_in.bias": torch.full((8,), torch.nan)}
    lora = kohya(SPATIAL, torch.ones(2, 8), torch.ones(8, 2))
    for state, problem in (
        (inpainting, r"another architecture: conv_in\.weight"),
        (xl, "Stable Diffusion XL"),
        (partial, "lacks"),
        (broken, "NaN"),
        (lora, "is a LoRA file"),
    ):
        save_file(state, path)
        with pytest.raises(InputError, match=problem):
            swap_base(deep_denoiser, path)
    assert all(torch.equal(value, before[key]) for key, value in deep_denoiser.state_dict().items())
