"""Tiny models of random weights, one of each family, in the models folder of a running host."""

from __future__ import annotations

from pathlib import Path

import torch
from host_client import Workflow, nodes_of
from safetensors.torch import load_file, save_file

from megactor_core.families.registry import FAMILIES
from megactor_core.weights.random_model import write_random_model

FOLDER = "tiny"
_LORA_LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def tiny_name(family: str) -> str:
    """The name by which Load MegActor Model knows the tiny model of a family."""
    return f"{FOLDER}/{family}"


def provide_tiny_models(base: Path) -> None:
    """Write the models, as ``megactor_core weights random`` does, where they are not there yet.

    Args:
        base: folder of the host.
    """
    for family in FAMILIES:
        folder = base / "models" / "megactor" / tiny_name(family)
        if not folder.exists():
            write_random_model(family, folder)


def with_tiny_model(workflow: Workflow, family: str) -> Workflow:
    """The same workflow with the tiny model of a family in its loader."""
    (loader,) = nodes_of(workflow, "MegActorLoadModel")
    inputs = {**workflow[loader]["inputs"], "model": tiny_name(family)}
    return {**workflow, loader: {**workflow[loader], "inputs": inputs}}


def write_tiny_lora(base: Path, family: str, name: str) -> None:
    """Put a LoRA of one layer, by kohya's names, into the host's LoRA folder.

    Args:
        base: folder of the host, with the tiny models.
        family: of the model it fits.
        name: of the file.
    """
    denoiser = base / "models" / "megactor" / tiny_name(family) / "denoiser.safetensors"
    rows, columns = load_file(denoiser)[f"{_LORA_LAYER}.weight"].shape
    layer = f"lora_unet_{_LORA_LAYER.replace('.', '_')}"
    random = torch.Generator().manual_seed(0)
    tensors = {
        f"{layer}.lora_down.weight": torch.randn(2, columns, generator=random),
        f"{layer}.lora_up.weight": torch.randn(rows, 2, generator=random),
        f"{layer}.alpha": torch.tensor(2.0),
    }
    folder = base / "models" / "loras"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name)
