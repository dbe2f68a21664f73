"""LoRAs of the host's folder as patches of a portrait model's denoiser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy.weight_adapter import LoRAAdapter

from ...megactor_core.errors import InputError
from ...megactor_core.weights.lora import check_scale, match_lora
from .portrait_model import PortraitModel


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
        patches = {
            f"diffusion_model.{layer}.weight": LoRAAdapter(
                set(), (factors.up, factors.down, factors.alpha, None, None, None)
            )
            for layer, factors in lora.read()
        }
        denoiser.add_patches(patches, strength)
    return replace(model, denoiser=denoiser), lora.report.listing()
