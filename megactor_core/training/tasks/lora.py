"""Low-rank additions to the denoiser, by peft: put in for training, written as a file that loaders know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...weights.layout import first_few
from ...weights.lora import MatchedLora, match_lora
from ...weights.saving import full, write_tensors
from ..config.tasks import LoraConfig

FILE_NAME = "lora.safetensors"
_PREFIX = "diffusion_model."
"""ComfyUI's name of the denoiser, which its own loader expects; ours knows it too."""
_ADAPTER = "default"
"""peft's name of the additions."""


def add_lora(denoiser: nn.Module, config: LoraConfig) -> None:
    """Put additions of zero, or those of an existing file, into the chosen layers.

    Raises:
        InputError: peft is missing, no layer has such a name, or the file does not fit.
    """
    try:
        import peft
    except ImportError:
        raise InputError("task.lora", "needs peft", "pip install 'megactor[train]'") from None
    start = None if config.initial_weights is None else match_lora(denoiser, config.initial_weights)
    settings = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=list(config.layers))
    try:
        peft.inject_adapter_in_model(settings, denoiser)
    except ValueError as error:
        raise InputError("task.lora.layers", str(error), "Name layers such as to_q or ff.net.2") from None
    if start is not None:
        _start_from(denoiser, start, config.rank)


@contextmanager
def without_lora(denoiser: nn.Module) -> Iterator[None]:
    """Inside, the additions of ``add_lora`` count nothing."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in denoiser.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def _start_from(denoiser: nn.Module, start: MatchedLora, rank: int) -> None:
    """Let the additions be those of a file; layers that it lacks start from zero."""
    path = start.file.path
    if start.report.unmatched:
        problem = f"has names that fit no layer: {first_few(start.report.unmatched)}"
        raise InputError(path, problem, "Start from a LoRA of this kind of model")
    layers = dict(denoiser.named_modules())
    changes = {name.rsplit(".", 1)[0]: change for name, change in start.read()}
    for layer, change in changes.items():
        if change.method != "LoRA" or change.factors.keys() != {"down", "up"}:
            raise InputError(path, f"is no plain LoRA in {layer}", "Start from one with two factors a layer")
        if not hasattr(layers[layer], "lora_A"):
            raise InputError(path, f"changes {layer}, which is not trained", "Add it to task.lora.layers")
        own = len(change.factors["down"])
        if own != rank:
            raise InputError(path, f"is of rank {own} in {layer}, not {rank}", f"Use task.lora.rank: {own}")
    for layer, change in changes.items():
        module = layers[layer]
        down, up = (getattr(module, name)[_ADAPTER].weight for name in ("lora_A", "lora_B"))
        down.copy_(change.factors["down"].reshape(down.shape))
        up.copy_(change.factors["up"].reshape(up.shape) * (change.scale / module.scaling[_ADAPTER]))


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
        tensors[_PREFIX + key.replace(f".{_ADAPTER}.", ".")] = whole
        layer = key.split(".lora_")[0]
        tensors[f"{_PREFIX}{layer}.alpha"] = torch.tensor(float(config.alpha), dtype=dtype)
    if folder is not None:
        write_tensors(folder / FILE_NAME, tensors, {"format": "pt"})
