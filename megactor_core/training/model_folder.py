"""Networks to train from, and the model folder that training ends in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import InputError
from ..models.build import Networks, build_networks
from ..models.config import ModelConfig
from ..weights.loading import load_model
from .files import write_tensors, write_text
from .processes import full
from .task_config import DenoiserTaskConfig


def initial_networks(config: DenoiserTaskConfig, seed: int) -> tuple[ModelConfig, Networks]:
    """The networks a run starts from: loaded, or fresh from the seed with a trained autoencoder.

    Raises:
        InputError: the folder of the autoencoder or of the initial weights is unusable.
    """
    if config.initial_weights is not None:
        loaded = load_model(config.initial_weights)
        return loaded.config, loaded.networks
    model = config.model
    assert model is not None  # the config has checked it
    state: dict[str, Tensor] | None = None
    if config.vae is not None:
        try:
            vae = json.loads((config.vae / "vae.json").read_text(encoding="utf-8"))
            state = load_file(config.vae / "vae.safetensors")
        except OSError as error:
            raise InputError(
                config.vae,
                f"is no exported autoencoder ({error})",
                "Train one with configs/train/demo_autoencoder.yaml",
            ) from None
        model = dataclasses.replace(model, vae=vae)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        networks = build_networks(model)
    if state is not None:
        networks.vae.load_state_dict(state)
    return model, networks


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
