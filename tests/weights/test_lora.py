"""LoRAs by every naming users' files have, and another base under X-Portrait's modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lora_files import (
    LAYERS,
    NAMINGS,
    OUT,
    RANK,
    SPATIAL,
    Naming,
    State,
    factors,
    kohya,
    kohya_layer,
    lora,
)
from safetensors.torch import save_file
from torch import nn
from xportrait_networks import MANIFESTS, official_name

from megactor_core.errors import InputError
from megactor_core.families.megactor import CONFIG as MEGACTOR
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.networks import build_networks
from megactor_core.models.sd15.unet import DenoisingUNet
from megactor_core.weights.base_model import swap_base
from megactor_core.weights.compvis import unet_key
from megactor_core.weights.lora import match_lora, merge_lora
from megactor_core.weights.random_model import tiny_config


@pytest.fixture
def denoiser() -> DenoisingUNet:
    torch.manual_seed(0)
    return build_networks(tiny_config(XPORTRAIT)).denoiser


@pytest.mark.parametrize(("naming", "layers"), NAMINGS)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_every_naming_changes_the_layers_it_means(
    naming: Naming, layers: tuple[str, ...], scale: float, denoiser: DenoisingUNet, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    state = lora(denoiser, naming, layers)
    save_file(state, tmp_path / "lora.safetensors")

    report = merge_lora(denoiser, tmp_path / "lora.safetensors", scale)

    assert sorted(report.merged) == sorted(layers) and not report.unmatched
    alpha = 1 / RANK if any(key.endswith(".alpha") for key in state) else 1
    for key, value in denoiser.state_dict().items():
        expected = before[key]
        if (layer := key.removesuffix(".weight")) in layers:
            down, up = factors(denoiser, layer)
            expected = expected + scale * alpha * torch.einsum("or,r...->o...", up.flatten(1), down)
        torch.testing.assert_close(value, expected)


def test_a_lora_of_every_layer_matches_throughout(denoiser: DenoisingUNet, tmp_path: Path) -> None:
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    layers = [name for name, module in denoiser.named_modules() if isinstance(module, kinds)]
    save_file(lora(denoiser, kohya, tuple(layers)), tmp_path / "lora.safetensors")
    report = merge_lora(denoiser, tmp_path / "lora.safetensors")
    assert sorted(report.merged) == sorted(layers) and not report.unmatched


def test_every_compvis_name_of_stable_diffusion_matches(tmp_path: Path) -> None:
    """X-Portrait's own file lists them, with its temporal modules."""
    manifest = json.loads((MANIFESTS / "xportrait_unet_temporal.json").read_text())
    with torch.device("meta"):
        denoiser = DenoisingUNet(XPORTRAIT.denoiser, None)
    state: State = {}
    for key in manifest:
        layer = (unet_key(key.removeprefix("model.diffusion_model.")) or "").removesuffix(".weight")
        if key.endswith(".weight") and isinstance(denoiser.get_submodule(layer), nn.Linear | nn.Conv2d):
            shape = denoiser.get_submodule(layer).weight.shape
            name = "lora_unet_" + key.removeprefix("model.diffusion_model.").removesuffix(".weight")
            up = torch.ones(shape[0], 1, *[1] * (len(shape) - 2))
            state |= kohya_layer(name.replace(".", "_"), torch.ones(1, *shape[1:]), up)
    save_file(state, tmp_path / "lora.safetensors")
    report = match_lora(denoiser, tmp_path / "lora.safetensors").report
    assert len(report.merged) * 3 == len(state) > 1000 and not report.unmatched


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


def test_the_input_of_a_family_with_channels_of_its_own_is_left_out(tmp_path: Path) -> None:
    model = build_networks(tiny_config(MEGACTOR)).denoiser
    state = lora(model, kohya, LAYERS) | kohya(
        "conv_in", torch.ones(RANK, 4, 3, 3), torch.ones(8, RANK, 1, 1)
    )
    save_file(state, tmp_path / "lora.safetensors")
    report = merge_lora(model, tmp_path / "lora.safetensors")
    assert sorted(report.merged) == sorted(LAYERS)
    assert all("conv_in" in name for name in report.unmatched) and len(report.unmatched) == 3


def test_unusable_loras_are_refused_and_change_nothing(denoiser: DenoisingUNet, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    down, up = factors(denoiser, OUT)
    xl = kohya_layer(
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k",
        torch.ones(RANK, 2048),
        torch.ones(16, 2),
    )
    wrong = kohya(SPATIAL, *factors(denoiser, SPATIAL)) | kohya(OUT, torch.ones(RANK, 33), up)
    for state, problem in (
        (wrong, "another architecture"),
        (xl, "another architecture"),
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
    low_rank = kohya(SPATIAL, torch.ones(2, 8), torch.ones(8, 2))
    for state, problem in (
        (inpainting, r"another architecture: conv_in\.weight"),
        (xl, "Stable Diffusion XL"),
        (partial, "lacks"),
        (broken, "NaN"),
        (low_rank, "is a LoRA file"),
    ):
        save_file(state, path)
        with pytest.raises(InputError, match=problem):
            swap_base(deep_denoiser, path)
    assert all(torch.equal(value, before[key]) for key, value in deep_denoiser.state_dict().items())
