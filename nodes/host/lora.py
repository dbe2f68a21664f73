"""LoRAs of the host's folder as patches of a portrait model's denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy.weight_adapter import WeightAdapterBase
from torch import Tensor

from ...megactor_core.errors import InputError
from ...megactor_core.weights.layer_change import LayerChange
from ...megactor_core.weights.lora import check_scale, match_lora
from .portrait_model import PortraitModel


class _Patch(WeightAdapterBase):
    """A change of one parameter as the host keeps patches; it moves the tensors in ``weights`` itself."""

    name = "megactor"

    def __init__(self, loaded_keys: set[str], weights: tuple[Any, ...]) -> None:
        self.loaded_keys = loaded_keys
        self.weights = weights

    @classmethod
    def of(cls, change: LayerChange) -> _Patch:
        return cls(set(), (change.method, change.scale, *change.factors.items()))

    def calculate_weight(
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: tuple[int, ...] | None,
        function: Callable[[Tensor], Tensor],
        intermediate_dtype: torch.dtype = torch.float32,
        original_weight: object = None,
    ) -> Tensor:
        method, scale, *factors = self.weights
        change = LayerChange(method, scale, dict(factors))
        weight += function((strength * change(weight)).type(weight.dtype))
        return weight


def list_loras() -> list[str]:
    """Names to choose from."""
    return folder_paths.get_filename_list("loras")


def lora_file(name: str) -> Path:
    """The file of a name from ``list_loras``.

    Raises:
        InputError: no such file.
    """
    path = folder_paths.get_full_path("loras", name)
    if path is None:
        raise InputError(f"lora {name}", "is not in models/loras", "Put it there, or choose another")
    return Path(path)


def fingerprint(name: str) -> str:
    """Changes with the file of a name."""
    state = lora_file(name).stat()
    return f"{name} {state.st_size} {state.st_mtime_ns}"


def add_lora(model: PortraitModel, path: Path, strength: float) -> tuple[PortraitModel, str]:
    """The model with a LoRA, which the host merges while the denoiser is on the device, and a report.

    Args:
        model: stays as it is.
        path: of the LoRA.
        strength: factor; 1 as trained.

    Raises:
        InputError: an unusable file, a LoRA of another architecture, or a strength that is no finite number.
    """
    check_scale(strength)
    denoiser = model.denoiser.clone()
    lora = match_lora(model.denoiser.model.diffusion_model, path)
    if strength:
        patches = {f"diffusion_model.{name}": _Patch.of(change) for name, change in lora.read()}
        denoiser.add_patches(patches, strength)
    return replace(model, denoiser=denoiser), lora.report.listing()
