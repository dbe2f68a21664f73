"""Another Stable Diffusion 1.5 checkpoint under a model's temporal modules and ControlNets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from .compvis import unet_key
from .layout import Shape, first_few, recognise, reconcile_shape
from .tensor_files import TensorFile, is_finite, open_tensor_file
from .wrappers import inside_part

_PARTS = ("model.diffusion_model.", "diffusion_model.", "unet.", "denoiser.")
"""What a UNet's names begin with inside a whole model."""

_REMEDY = "Give a checkpoint or UNet of Stable Diffusion 1.5"


def swap_base(denoiser: nn.Module, path: Path) -> int:
    """Replace the spatial weights of a denoiser whose base is a frozen SD1.5, as X-Portrait's is.

    Args:
        denoiser: with the names of our networks; its temporal modules stay.
        path: a whole SD1.5 checkpoint in one file, or a UNet by CompVis' or diffusers' names.

    Returns:
        How many tensors were replaced.

    Raises:
        InputError: an unusable file, another architecture (SDXL, SD2, inpainting), or a denoiser that has
            input channels of its own; nothing is replaced then.
    """
    file = open_tensor_file(path)
    sources = spatial_sources(file)
    expected = {key: tensor for key, tensor in denoiser.state_dict().items() if ".motion_modules." not in key}
    _check(path, sources, file.shapes, {key: tuple(tensor.shape) for key, tensor in expected.items()})
    names = {sources[key]: key for key in expected}
    for source, tensor in file.stream(names):
        dtype = expected[names[source]].dtype
        if not is_finite(tensor.to(dtype)):
            problem = f"{file.key(source)} holds NaN or values beyond {str(dtype).removeprefix('torch.')}"
            raise InputError(path, problem, "Use a wider dtype; if it stays so, download it again")
    with torch.no_grad():
        for source, tensor in file.stream(names):
            own = expected[names[source]]
            own.copy_(tensor.reshape(own.shape))
    return len(expected)


def spatial_sources(file: TensorFile) -> dict[str, str]:
    """Names in a file of SD1.5 by our names of the UNet's layers."""
    names = inside_part({name: name for name in file.shapes}, _PARTS)
    return {unet_key(name) or name: key for name, key in names.items()}


def _check(
    path: Path, sources: Mapping[str, str], shapes: Mapping[str, Shape], expected: Mapping[str, Shape]
) -> None:
    if any("label_emb." in key or "add_embedding." in key for key in sources):
        raise InputError(path, "is a Stable Diffusion XL model", _REMEDY)
    missing = [key for key in expected if key not in sources]
    if missing:
        kind = recognise(shapes)
        unet = kind.name in ("stable_diffusion", "unet")
        problem = f"lacks {len(missing)} keys: {first_few(missing)}" if unet else f"is {kind.description}"
        raise InputError(path, f"{problem}; it is no UNet of Stable Diffusion 1.5", _REMEDY)
    misshapen = [
        f"{key} {list(shapes[sources[key]])} instead of {list(shape)}"
        for key, shape in expected.items()
        if not reconcile_shape(shapes[sources[key]], shape)
    ]
    if misshapen:
        raise InputError(path, f"is of another architecture: {first_few(misshapen)}", _REMEDY)
