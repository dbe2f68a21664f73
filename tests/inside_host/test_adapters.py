"""Adapters besides plain LoRA: the core gives the numbers of the host, and the node those of the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import adapter_files
import comfy.lora
import pytest
import torch
from adapter_files import State
from lora_files import CONVOLUTION, SPATIAL
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.weights.lora import merge_lora
from megactor_pack.megactor_core.weights.random_model import write_random_model
from megactor_pack.nodes.host.lora import add_lora
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.portrait_model import PortraitModel
from safetensors.torch import save_file
from torch import Tensor

CASES = (
    (adapter_files.locon, CONVOLUTION),
    (adapter_files.loha, SPATIAL),
    (adapter_files.loha, CONVOLUTION),
    (adapter_files.loha_tucker, CONVOLUTION),
    (adapter_files.lokr, SPATIAL),
    (adapter_files.lokr, CONVOLUTION),
    (adapter_files.lokr_whole, SPATIAL),
    (adapter_files.lokr_whole, CONVOLUTION),
    (adapter_files.difference, CONVOLUTION),
    (adapter_files.dora_of_columns, SPATIAL),
    (adapter_files.dora_of_columns, CONVOLUTION),
)
OURS = (*CASES, (adapter_files.lokr_tucker, CONVOLUTION), (adapter_files.whole_weight, SPATIAL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "xportrait"
    write_random_model("xportrait", folder)
    return folder


@pytest.fixture
def model(folder: Path) -> PortraitModel:
    return load_portrait_model(folder)


def written(model: PortraitModel, method: Callable[[Tensor], State], layer: str, path: Path) -> State:
    weight = model.denoiser.model.diffusion_model.get_submodule(layer).weight
    state = {f"{layer}.{part}": value for part, value in method(weight).items()}
    save_file(state, path)
    return state


@pytest.mark.parametrize(("method", "layer"), CASES)
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_the_hosts_loader_gives_the_same(
    method: Callable[[Tensor], State], layer: str, strength: float, model: PortraitModel, tmp_path: Path
) -> None:
    state = written(model, method, layer, tmp_path / "lora.safetensors")
    network = model.denoiser.model.diffusion_model
    patches = comfy.lora.load_lora(state, {layer: f"{layer}.weight"})
    expected = {
        key: comfy.lora.calculate_weight(
            [(strength, patch, 1.0, None, None)], network.get_parameter(key).clone().float(), key
        )
        for key, patch in patches.items()
    }
    merge_lora(network, tmp_path / "lora.safetensors", strength)
    for key, weight in expected.items():
        torch.testing.assert_close(network.get_parameter(key).float(), weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("method", "layer"), OURS)
def test_the_node_gives_what_the_core_merges(
    method: Callable[[Tensor], State], layer: str, model: PortraitModel, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lora.safetensors"
    written(model, method, layer, path)
    merged = load_portrait_model(folder).denoiser.model.diffusion_model
    merge_lora(merged, path, 0.7)
    changed, report = add_lora(model, path, 0.7)
    assert report.startswith("lora.safetensors: 1 layers changed")
    keys = set(changed.denoiser.patches)
    assert keys and keys <= {f"diffusion_model.{layer}.weight", f"diffusion_model.{layer}.bias"}
    changed.denoiser.patch_model()
    try:
        for key in keys:
            name = key.removeprefix("diffusion_model.")
            own = changed.denoiser.model.diffusion_model.get_parameter(name)
            torch.testing.assert_close(own, merged.get_parameter(name))
    finally:
        changed.denoiser.unpatch_model()


def test_numbers_that_are_not_finite_are_refused_at_strength_0_too(
    model: PortraitModel, tmp_path: Path
) -> None:
    state = written(model, adapter_files.loha, SPATIAL, tmp_path / "lora.safetensors")
    next(iter(state.values()))[0] = torch.nan
    save_file(state, tmp_path / "lora.safetensors")
    for strength in (0.0, 1.0):
        with pytest.raises(InputError, match=r"lora\.safetensors: .* holds NaN"):
            add_lora(model, tmp_path / "lora.safetensors", strength)
