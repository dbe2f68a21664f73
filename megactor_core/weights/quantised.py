"""Weights stored in 8 bits beside a scale: what belongs together, and the numbers they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import InputError

# Where the scale of X.weight is, and by what it is to be divided: ComfyUI's older and newer names (the latter
# are those of vLLM, too), bitsandbytes' LLM.int8(), whose scale is a row's largest value, and quanto's.
_SCALES = (("scale_weight", 1.0), ("weight_scale", 1.0), ("SCB", 127.0), ("weight._scale", 1.0))
# Of inputs and outputs, and notes on the format.
_BESIDE = re.compile(
    r"(?:.+\.)?(?:input_scale|scale_input|output_scale|weight_format|comfy_quant|scaled_fp8|_extra_state)"
)
_UNREAD = (
    (re.compile(r".+\.quant_state\.bitsandbytes__(nf4|fp4)"), "4 bits of bitsandbytes (NF4, FP4)"),
    (re.compile(r".+\.weight\.(absmax|quant_map|nested_absmax)"), "4 bits of bitsandbytes (NF4, FP4)"),
    (re.compile(r".+\.weight_scale_2"), "4 bits with scales of scales (NVFP4)"),
    (re.compile(r".+\.(qweight|qzeros|g_idx)"), "4 bits of GPTQ or AWQ"),
    (re.compile(r".+\.(weight_packed|weight_zero_point)"), "packed bits of compressed-tensors"),
    (re.compile(r".+\.(wscales|smooth_factor)"), "4 bits of SVDQuant"),
    (re.compile(r".+\.weight\._shift"), "4 or 2 bits of quanto"),
    (re.compile(r".+[._:](qdata|tensor_impl)"), "a format of torchao"),
    (re.compile(r".+\.weight_scale_inv"), "8 bits with scales by blocks"),
)
_REMEDY = "Use the same model in float16, bfloat16 or float32"
_WHOLE_NUMBERS = re.compile(r"u?int\d+|bool|BOOL")
_FEW_BITS = re.compile(r"F4|F6_.*|float4.*")


@dataclass(frozen=True)
class Stored:
    """Location of a tensor's numbers in its file.

    Attributes:
        key: of the tensor itself.
        scale: of the scale that it is to be multiplied by, if it has one.
        divisor: of that scale.
    """

    key: str
    scale: str | None = None
    divisor: float = 1.0


def find_scales(path: Path, names: Mapping[str, str], dtypes: Mapping[str, str]) -> dict[str, Stored]:
    """Every tensor with its scale; scales have no entry of their own.

    Args:
        path: the file.
        names: a network's names -> those in the file.
        dtypes: by the names in the file, as torch calls them: ``float8_e4m3fn``, ``int8``.

    Raises:
        InputError: a format that is not read here, complex numbers, or whole numbers without a scale.
    """
    for name in names:
        if kind := next((kind for pattern, kind in _UNREAD if pattern.fullmatch(name)), None):
            raise InputError(path, f"is quantised to {kind}: {name}", _REMEDY)
    scales = {
        weight: (names[name], divisor)
        for name in names
        for ending, divisor in _SCALES
        if name.endswith("." + ending)
        and ((weight := f"{name.removesuffix(ending)}weight") in names or f"{weight}._data" in names)
    }
    taken = {key for key, _ in scales.values()}
    stored = {}
    for name, key in names.items():
        if key in taken or _BESIDE.fullmatch(name):
            continue
        own = name.removesuffix("._data")
        stored[own] = Stored(key, *scales.get(own, ()))
        dtype = dtypes[key]
        if dtype.startswith("complex"):
            raise InputError(path, f"{key} holds complex numbers", _REMEDY)
        if _FEW_BITS.fullmatch(dtype):
            raise InputError(path, f"{key} holds numbers of 4 or 6 bits", _REMEDY)
        if _WHOLE_NUMBERS.fullmatch(dtype) and own.endswith(".weight") and stored[own].scale is None:
            raise InputError(path, f"{key} holds whole numbers ({dtype}) without a scale", _REMEDY)
    return stored


def restored(path: Path, name: str, tensor: Tensor, scale: Tensor | None, divisor: float) -> Tensor:
    """The numbers that a stored tensor stands for: itself, or float32 where it has a scale or 8 bits.

    Raises:
        InputError: the scale is neither one number nor one per row.
    """
    if scale is None:
        return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    factor = scale.float() / divisor
    if factor.numel() == 1:
        return tensor.float() * factor.reshape(())
    if tensor.ndim and factor.numel() == factor.shape[0] == tensor.shape[0]:
        return tensor.float() * factor.reshape(-1, *[1] * (tensor.ndim - 1))
    shapes = f"{list(factor.shape)} for {list(tensor.shape)}"
    raise InputError(path, f"the scale of {name} is neither one number nor one per row: {shapes}", _REMEDY)
