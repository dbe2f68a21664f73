"""8-bit weights are read with their scale; other formats of few bits are refused by their name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from official_layout import State
from safetensors.torch import load_file, save_file
from torch import Tensor

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.weights.base_model import swap_base
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import write_random_model
from megactor_core.weights.tensor_files import open_tensor_file

NAME = "blocks.0.to_q"
FLOATS = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
VALUES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


def read(path: Path) -> State:
    file = open_tensor_file(path)
    return {name: tensor.clone() for name, tensor in file.stream(file.shapes)}


@pytest.mark.parametrize("dtype", FLOATS)
def test_eight_bit_floats_without_a_scale_are_what_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({f"{NAME}.weight": VALUES.to(dtype)}, tmp_path / "a.ckpt")
    assert torch.equal(read(tmp_path / "a.ckpt")[f"{NAME}.weight"], VALUES.to(dtype).float())


def comfyui_of_2024(scale: Tensor) -> State:
    return {f"{NAME}.scale_weight": scale, f"{NAME}.scale_input": torch.ones(()), "scaled_fp8": torch.ones(2)}


def comfyui_of_2025(scale: Tensor) -> State:
    note = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    return {f"{NAME}.weight_scale": scale, f"{NAME}.input_scale": torch.ones(()), f"{NAME}.comfy_quant": note}


@pytest.mark.parametrize("beside", [comfyui_of_2024, comfyui_of_2025])
@pytest.mark.parametrize("scale", [torch.tensor(0.25), torch.tensor([0.25]), torch.rand(6, 1) + 1])
@pytest.mark.parametrize("dtype", [*FLOATS[:2], torch.int8])
def test_a_scale_is_multiplied(
    dtype: torch.dtype, scale: Tensor, beside: Callable[[Tensor], State], tmp_path: Path
) -> None:
    stored = (VALUES * (20 if dtype == torch.int8 else 1)).to(dtype)
    save_file(
        {f"{NAME}.weight": stored, f"{NAME}.bias": VALUES[0], **beside(scale)}, tmp_path / "a.safetensors"
    )
    state = read(tmp_path / "a.safetensors")
    assert state.keys() == {f"{NAME}.weight", f"{NAME}.bias"}
    torch.testing.assert_close(state[f"{NAME}.weight"], stored.float() * scale)


def test_bitsandbytes_and_quanto_in_8_bits(tmp_path: Path) -> None:
    largest = VALUES.abs().amax(1)
    rows = (VALUES / largest[:, None] * 127).round().to(torch.int8)
    of_bitsandbytes = {
        f"{NAME}.weight": rows,
        f"{NAME}.SCB": largest,
        f"{NAME}.weight_format": torch.tensor(0, dtype=torch.uint8),
    }
    of_quanto = {
        f"{NAME}.weight._data": rows,
        f"{NAME}.weight._scale": largest[:, None] / 127,
        f"{NAME}.input_scale": torch.ones(()),
        f"{NAME}.output_scale": torch.ones(()),
    }
    for state in (of_bitsandbytes, of_quanto):
        save_file(state, tmp_path / "a.safetensors")
        loaded = read(tmp_path / "a.safetensors")
        assert loaded.keys() == {f"{NAME}.weight"}
        torch.testing.assert_close(loaded[f"{NAME}.weight"], VALUES, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("beside", "problem"),
    [
        ({"weight.absmax": torch.ones(3)}, "NF4"),
        ({"weight.quant_state.bitsandbytes__nf4": torch.ones(3, dtype=torch.uint8)}, "NF4"),
        ({"qweight": torch.ones(3, dtype=torch.int32), "scales": torch.ones(3)}, "GPTQ or AWQ"),
        ({"weight_scale": torch.ones(3), "weight_scale_2": torch.ones(())}, "NVFP4"),
        ({"weight._data": torch.ones(3), "weight._shift": torch.ones(3)}, "quanto"),
        ({"weight_packed": torch.ones(3, dtype=torch.int32)}, "compressed-tensors"),
        ({"wscales": torch.ones(3)}, "SVDQuant"),
        ({"weight_scale_inv": torch.ones(1, 1)}, "scales by blocks"),
        ({"weight": torch.ones(6, 4, dtype=torch.int8)}, r"whole numbers \(int8\) without a scale"),
        ({"weight": torch.ones(6, 4, dtype=torch.complex64)}, "complex numbers"),
        ({"weight": VALUES, "weight_scale": torch.ones(3, 2)}, "neither one number nor one per row"),
    ],
)
def test_other_formats_are_refused_by_name(beside: State, problem: str, tmp_path: Path) -> None:
    save_file({f"{NAME}.{part}": value for part, value in beside.items()}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=problem):
        read(tmp_path / "a.safetensors")


def test_quantised_and_sparse_tensors_of_torch(tmp_path: Path) -> None:
    quantised = torch.quantize_per_tensor(VALUES, 0.1, 3, torch.qint8)
    torch.save({"a.weight": quantised, "b.weight": VALUES.to_sparse(), 0: VALUES}, tmp_path / "a.ckpt")
    file = open_tensor_file(tmp_path / "a.ckpt")
    ((_, tensor),) = file.stream(["a.weight"])
    assert torch.equal(tensor, quantised.dequantize())
    with pytest.raises(InputError, match=r"b\.weight is a sparse tensor"):
        list(file.stream(["b.weight"]))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "xportrait"
    write_random_model("xportrait", folder)
    return folder


def in_8_bits(path: Path) -> State:
    """Write the file anew in ComfyUI's scaled float8; returns what its weights then are."""
    stored, expected = {}, {}
    for key, value in load_file(path).items():
        if value.ndim < 2 or not key.endswith(".weight"):
            stored[key] = expected[key] = value
            continue
        scale = value.float().abs().max() / 448
        stored[key] = (value.float() / scale).to(torch.float8_e4m3fn)
        stored[f"{key.removesuffix('weight')}scale_weight"] = scale
        expected[key] = stored[key].float() * scale
    save_file(stored, path)
    return expected


def test_a_model_folder_a_base_and_verify(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fp8"
    folder.mkdir()
    for file in model_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    expected = in_8_bits(folder / "denoiser.safetensors")
    loaded = load_model(folder).networks.denoiser
    other = load_model(model_folder).networks.denoiser
    swap_base(other, folder / "denoiser.safetensors")
    for key, value in expected.items():
        torch.testing.assert_close(loaded.state_dict()[key], value.float())
        if ".motion_modules." not in key:
            torch.testing.assert_close(other.state_dict()[key], value.float())
    assert main(["weights", "verify", str(folder)]) == 0
    assert " 0 with a problem" in capsys.readouterr().out
