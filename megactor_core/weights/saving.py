"""Networks to train from, and the model folder that training ends in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..files import new_file, refused_writes, write_text
from ..models.config import ModelConfig

if TYPE_CHECKING:  # they take seconds to import
    from ..models.networks import Networks


def save_model(config: ModelConfig, networks: Networks, folder: Path | None, dtype: torch.dtype) -> None:
    """Write a model folder that ``weights.loading.load_model`` reads; see ``save_networks``."""
    save_networks(networks.items(), config.to_dict(), "config.json", folder, dtype)


def save_networks(
    networks: Iterable[tuple[str, nn.Module]],
    config: Mapping[str, Any],
    config_name: str,
    folder: Path | None,
    dtype: torch.dtype,
) -> None:
    """One safetensors file per network, and a JSON file; each appears whole, the JSON file last.

    Args:
        networks: by the stem of their file; weights that are spread over processes are put together.
        config: for the JSON file.
        config_name: name of the JSON file.
        folder: where to; None on processes that only help to put the weights together.
        dtype: of the written weights.

    Raises:
        InputError: the folder cannot be written.
    """
    for name, network in networks:
        state: dict[str, Tensor] = {}
        for key, tensor in network.state_dict().items():
            whole = full(tensor.detach())
            if folder is not None:
                state[key] = whole.to("cpu", dtype).contiguous()
        if folder is not None:
            write_tensors(folder / f"{name}.safetensors", state)
    if folder is not None:
        write_text(folder / config_name, json.dumps(config, indent=1))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file of contiguous tensors, whole or not at all; makes its folder.

    Raises:
        InputError: it cannot be written (full disk, say); an earlier file stays.
    """
    with refused_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, overwrite=True) as temporary:
        save_file(dict(tensors), temporary, metadata)


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be spread over processes, all of which must call this."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
