"""Adapters besides plain LoRA come out as their trainers merge them, or are refused by their name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import adapter_files
import pytest
import torch
from adapter_files import State
from lora_files import CONVOLUTION, LAYERS, MOTION, OUT, SPATIAL, diffusers, factors, kohya, lora
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from megactor_core.errors import InputError
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.models.networks import build_networks
from megactor_core.models.sd15.unet import DenoisingUNet
from megactor_core.weights.lora import match_lora, merge_lora
from megactor_core.weights.random_model import tiny_config

PEFT = {
    "alpha": {"r": 4, "lora_alpha": 8},
    "rslora": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "patterns": {
        "r": 4, "lora_alpha": 8, "rank_pattern": {"to_q": 2}, "alpha_pattern": {"conv1": 3, "to_out.0": 1}
    },
    "dora": {"r": 4, "lora_alpha": 8, "use_dora": True},
    "dora_rslora": {"r": 2, "lora_alpha": 3, "use_dora": True, "use_rslora": True},
    "bias": {"r": 2, "lora_alpha": 6, "lora_bias": True},
}  # fmt: skip
BIASED = (OUT, CONVOLUTION)


@pytest.fixture
def denoiser() -> DenoisingUNet:
    torch.manual_seed(0)
    return build_networks(tiny_config(XPORTRAIT)).denoiser


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lora.safetensors"


def trained_by_peft(denoiser: nn.Module, config: object) -> nn.Module:
    """The denoiser under PEFT, after a training that changed all that is trained."""
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(copy.deepcopy(denoiser), config)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def assert_as_merged(denoiser: nn.Module, model: nn.Module, layers: tuple[str, ...]) -> None:
    merged = model.merge_and_unload().state_dict()
    assert {
        name for name, value in denoiser.state_dict().items() if not torch.equal(value, merged[name])
    } <= {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    for name, value in denoiser.state_dict().items():
        torch.testing.assert_close(value, merged[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("options", PEFT.values(), ids=PEFT)
def test_a_folder_of_peft_does_what_peft_does(
    options: dict[str, object], denoiser: DenoisingUNet, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    layers = BIASED if "lora_bias" in options else LAYERS
    model = trained_by_peft(denoiser, peft.LoraConfig(target_modules=list(layers), **options))
    model.save_pretrained(tmp_path)
    before = copy.deepcopy(denoiser)
    report = merge_lora(denoiser, tmp_path / "adapter_model.safetensors")
    assert sorted(report.merged) == sorted(layers) and not report.unmatched
    assert ("DoRA" in str(report)) == ("use_dora" in options)
    assert not torch.equal(before.get_submodule(OUT).weight, denoiser.get_submodule(OUT).weight)
    assert_as_merged(denoiser, model, layers)


@pytest.mark.parametrize("options", [o for o in PEFT.values() if "lora_bias" not in o])
def test_a_file_of_diffusers_does_what_peft_does(
    options: dict[str, object], denoiser: DenoisingUNet, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    from diffusers import StableDiffusionPipeline

    config = peft.LoraConfig(target_modules=list(LAYERS), **options)
    model = trained_by_peft(denoiser, config)
    state = {
        key.removeprefix("base_model.model."): value
        for key, value in peft.get_peft_model_state_dict(model).items()
    }
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=state, unet_lora_adapter_metadata=config.to_dict()
    )
    assert not merge_lora(denoiser, tmp_path / "pytorch_lora_weights.safetensors").unmatched
    assert_as_merged(denoiser, model, LAYERS)


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("kind", ["LoHaConfig", "LoKrConfig"])
def test_products_of_peft(kind: str, decomposed: bool, denoiser: DenoisingUNet, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    options = {"decompose_both": True} if decomposed and kind == "LoKrConfig" else {}
    config = getattr(peft, kind)(
        r=2, alpha=3, target_modules=list(LAYERS), use_effective_conv2d=decomposed, **options
    )
    model = trained_by_peft(denoiser, config)
    model.save_pretrained(tmp_path)
    report = merge_lora(denoiser, tmp_path / "adapter_model.safetensors")
    assert sorted(report.merged) == sorted(LAYERS) and not report.unmatched
    assert kind.removesuffix("Config") in str(report)
    assert_as_merged(denoiser, model, LAYERS)


def written(denoiser: nn.Module, method: Callable[[Tensor], State], layer: str, path: Path) -> State:
    state = method(denoiser.get_submodule(layer).weight)
    prefix = "lora_unet_" + layer.replace(".", "_")
    save_file({f"{prefix}.{part}": value for part, value in state.items()}, path)
    return state


@pytest.mark.parametrize("scale", [1.0, 0.0, -0.5])
def test_the_third_factor_of_a_convolution(scale: float, denoiser: DenoisingUNet, path: Path) -> None:
    state = written(denoiser, adapter_files.locon, CONVOLUTION, path)
    weight = denoiser.get_submodule(CONVOLUTION).weight
    before = weight.clone()
    assert merge_lora(denoiser, path, scale).merged == (CONVOLUTION,)
    down, up = state["lora_down.weight"].flatten(1), state["lora_up.weight"].flatten(1)
    product = torch.einsum("mnkl,im,nj->ijkl", state["lora_mid.weight"], up, down)
    torch.testing.assert_close(weight, before + scale * 2 * product)


def test_a_kronecker_product_with_a_third_factor(denoiser: DenoisingUNet, path: Path) -> None:
    state = written(denoiser, adapter_files.lokr_tucker, CONVOLUTION, path)
    weight = denoiser.get_submodule(CONVOLUTION).weight
    before = weight.clone()
    merge_lora(denoiser, path)
    first = state["lokr_w1_a"] @ state["lokr_w1_b"]
    second = torch.einsum("ijkl,jr,ip->prkl", state["lokr_t2"], state["lokr_w2_b"], state["lokr_w2_a"])
    product = torch.einsum("ab,cdkl->acbdkl", first, second).reshape(before.shape)
    torch.testing.assert_close(weight, before + product / 2)


@pytest.mark.parametrize("layer", [SPATIAL, CONVOLUTION])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
def test_magnitudes_of_columns(layer: str, scale: float, denoiser: DenoisingUNet, path: Path) -> None:
    state = written(denoiser, adapter_files.dora_of_columns, layer, path)
    weight = denoiser.get_submodule(layer).weight
    before = weight.clone()
    assert str(merge_lora(denoiser, path, scale)).endswith("1 layers changed (LoHa, DoRA)")
    factors = (state[f"hada_w{side}_a"] @ state[f"hada_w{side}_b"] for side in (1, 2))
    trained = before + 0.5 * (next(factors) * next(factors)).reshape(before.shape)
    axes = tuple(axis for axis in range(before.ndim) if axis != 1)
    trained = trained / torch.linalg.vector_norm(trained, dim=axes, keepdim=True) * state["dora_scale"]
    torch.testing.assert_close(weight, before + scale * (trained - before), rtol=1e-5, atol=1e-6)


def test_full_differences_of_weights_norms_and_biases(denoiser: DenoisingUNet, path: Path) -> None:
    norm = "down_blocks.0.resnets.0.norm1"
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    added = {
        f"{CONVOLUTION}.weight": ("diff", torch.ones_like(before[f"{CONVOLUTION}.weight"])),
        f"{CONVOLUTION}.bias": ("diff_b", torch.ones_like(before[f"{CONVOLUTION}.bias"])),
        f"{norm}.weight": ("w_norm", torch.ones(8)),
        f"{norm}.bias": ("b_norm", torch.ones(8)),
        f"{OUT}.bias": ("diff_b", torch.ones_like(before[f"{OUT}.bias"])),
    }
    state = {f"diffusion_model.{key.rpartition('.')[0]}.{part}": v for key, (part, v) in added.items()}
    save_file(state, path)
    report = merge_lora(denoiser, path, 0.5)
    assert sorted(report.merged) == sorted({CONVOLUTION, norm, OUT}) and not report.unmatched
    for key, value in denoiser.state_dict().items():
        torch.testing.assert_close(value, before[key] + 0.5 * (key in added))


def test_kohyas_alpha_in_the_header_alone(denoiser: DenoisingUNet, path: Path) -> None:
    state = {k: v for k, v in lora(denoiser, kohya, (SPATIAL, CONVOLUTION)).items() if ".alpha" not in k}
    header = {"ss_network_alpha": "6.0", "ss_network_args": json.dumps({"conv_alpha": "1"})}
    save_file(state, path, header)
    before = {layer: denoiser.get_submodule(layer).weight.clone() for layer in (SPATIAL, CONVOLUTION)}
    merge_lora(denoiser, path)
    for layer, scale in ((SPATIAL, 3.0), (CONVOLUTION, 0.5)):
        down, up = factors(denoiser, layer)
        product = (up.flatten(1) @ down.flatten(1)).reshape(before[layer].shape)
        torch.testing.assert_close(denoiser.get_submodule(layer).weight, before[layer] + scale * product)


@pytest.mark.parametrize(
    ("ending", "name"),
    [
        ("a1.weight", "GLoRA"),
        ("oft_blocks", "OFT"),
        ("oft_R.default.weight", "OFT"),
        ("boft_R", "BOFT"),
        ("vera_lambda_b", "VeRA"),
        ("ia3_l", "IA3"),
        ("on_input", "IA3"),
        ("lora_E", "AdaLoRA"),
    ],
)
def test_other_methods_are_refused_by_name(
    ending: str, name: str, denoiser: DenoisingUNet, path: Path
) -> None:
    state = lora(denoiser, diffusers, LAYERS) | {f"unet.{SPATIAL}.{ending}": torch.ones(8, 2)}
    save_file(state, path)
    with pytest.raises(InputError, match=rf"lora.safetensors: is a .*{name}.* not applied here"):
        match_lora(denoiser, path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"lora_adapter_metadata": "{"}, "its lora_adapter_metadata is damaged"),
        ({"lora_adapter_metadata": "[1]"}, "its lora_adapter_metadata is damaged"),
        ({"lora_adapter_metadata": '{"unet.lora_alpha": NaN}'}, "its lora_adapter_metadata is damaged"),
        (
            {"lora_adapter_metadata": '{"unet.alpha_pattern": {"(": 1}}'},
            "its lora_adapter_metadata is damaged",
        ),
        ({"lora_adapter_metadata": '{"init_lora_weights": "pissa_niter_4"}'}, "changed first .pissa_niter_4"),
        ({"lora_adapter_metadata": '{"unet.use_dora": true}'}, "a DoRA that lacks magnitudes"),
    ],
)
def test_settings_that_cannot_be_followed(
    header: dict[str, str], problem: str, denoiser: DenoisingUNet, path: Path
) -> None:
    save_file(lora(denoiser, diffusers, LAYERS), path, header)
    with pytest.raises(InputError, match=problem):
        match_lora(denoiser, path)


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_numbers_that_are_not_finite_are_found_before_anything_changes(
    scale: float, denoiser: DenoisingUNet, path: Path
) -> None:
    state = lora(denoiser, diffusers, LAYERS)
    state[f"unet.{MOTION}.lora_B.weight"][0] = torch.nan
    save_file(state, path)
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    with pytest.raises(InputError, match=rf"lora.safetensors: unet.{MOTION}.lora_B.weight holds NaN"):
        merge_lora(denoiser, path, scale)
    assert all(torch.equal(value, before[key]) for key, value in denoiser.state_dict().items())


def test_a_sum_beyond_half_precision_is_told(denoiser: DenoisingUNet, path: Path) -> None:
    state = lora(denoiser, diffusers, (SPATIAL,))
    save_file({key: value * 1000 for key, value in state.items()}, path)
    with pytest.raises(InputError, match=rf"takes {SPATIAL}.weight beyond float16"):
        merge_lora(denoiser.half(), path)


def test_a_lora_of_the_text_encoder_alone_says_so(denoiser: DenoisingUNet, path: Path) -> None:
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    save_file(
        {f"{name}.lora_up.weight": torch.ones(2, 2), f"{name}.lora_down.weight": torch.ones(2, 2)}, path
    )
    with pytest.raises(InputError, match="changes the text encoder alone"):
        match_lora(denoiser, path)


@pytest.mark.parametrize("scale", [10.5, -11, 1e30])
def test_a_scale_out_of_range(scale: float, denoiser: DenoisingUNet, path: Path) -> None:
    save_file(lora(denoiser, kohya, LAYERS), path)
    with pytest.raises(InputError, match="must be from -10 to 10"):
        merge_lora(denoiser, path, scale)


def test_parts_of_another_size_are_told_with_both_sizes(denoiser: DenoisingUNet, path: Path) -> None:
    """A third factor or magnitudes that do not fit would come out wrong as a plain product."""
    for layer, part, found in ((OUT, "dora_scale", "magnitude"), (CONVOLUTION, "lora_mid.weight", "mid")):
        state = lora(denoiser, kohya, (SPATIAL, layer))
        state[f"lora_unet_{layer.replace('.', '_')}.{part}"] = torch.ones(3, 2)
        save_file(state, path)
        size = list(denoiser.get_submodule(layer).weight.shape)
        with pytest.raises(InputError) as caught:
            match_lora(denoiser, path)
        assert f"its {layer} is of another size" in str(caught.value)
        assert f"{found} [3, 2]" in str(caught.value) and f"for {size}" in str(caught.value)


def test_our_own_file_in_8_bits(denoiser: DenoisingUNet, path: Path) -> None:
    save_file({k: v.to(torch.float8_e4m3fn) for k, v in lora(denoiser, diffusers, LAYERS).items()}, path)
    read = {key: value.float() for key, value in load_file(path).items()}
    weight = denoiser.get_submodule(SPATIAL).weight
    before = weight.clone()
    merge_lora(denoiser, path)
    product = read[f"unet.{SPATIAL}.lora_B.weight"] @ read[f"unet.{SPATIAL}.lora_A.weight"]
    torch.testing.assert_close(weight, before + product)
