"""Networks to train from, and the model folder that training ends in."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError
from ..models.build import Networks, build_networks
from ..models.config import ModelConfig
from ..weights.loading import load_model
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


def save_model(config: ModelConfig, networks: Networks, folder: Path, dtype: torch.dtype) -> None:
    """Write a model folder that ``weights.loading.load_model`` reads; each file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in networks.items():
        state = {key: t.detach().to("cpu", dtype).contiguous() for key, t in network.state_dict().items()}
        partial = folder / f".{name}.safetensors.partial"
        save_file(state, partial)
        os.replace(partial, folder / f"{name}.safetensors")
    partial = folder / ".config.json.partial"
    partial.write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")
    os.replace(partial, folder / "config.json")
