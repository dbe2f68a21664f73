"""Low-rank additions to the denoiser, by peft: put in for training, written as a file that loaders know."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...weights.saving import full, write_tensors
from ..config.tasks import LoraConfig

FILE_NAME = "lora.safetensors"
_PREFIX = "diffusion_model."
"""ComfyUI's name of the denoiser, which its own loader expects; ours knows it too."""


def add_lora(denoiser: nn.Module, config: LoraConfig) -> None:
    """Put additions of zero into the chosen layers.

    Raises:
        InputError: peft is missing, or no layer has such a name.
    """
    try:
        import peft
    except ImportError:
        raise InputError("task.lora", "needs peft", "pip install 'megactor[train]'") from None
    settings = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=list(config.layers))
    try:
        peft.inject_adapter_in_model(settings, denoiser)
    except ValueError as error:
        raise InputError("task.lora.layers", str(error), "Name layers such as to_q or ff.net.2") from None


def save_lora(denoiser: nn.Module, config: LoraConfig, folder: Path | None, dtype: torch.dtype) -> None:
    """Write ``lora.safetensors``: per layer ``lora_A``, ``lora_B`` and ``alpha``, in PEFT's names.

    Args:
        denoiser: after ``add_lora``; weights that are spread over processes are put together.
        config: of the additions.
        folder: where to; None on processes that only help to put the weights together.
        dtype: of the written weights.

    Raises:
        InputError: the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for key, tensor in denoiser.state_dict().items():
        if ".lora_" not in key:
            continue
        whole = full(tensor.detach()).to("cpu", dtype).contiguous()
        tensors[_PREFIX + key.replace(".default.", ".")] = whole
        layer = key.split(".lora_")[0]
        tensors[f"{_PREFIX}{layer}.alpha"] = torch.tensor(float(config.alpha), dtype=dtype)
    if folder is not None:
        write_tensors(folder / FILE_NAME, tensors, {"format": "pt"})
