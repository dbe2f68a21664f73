"""From a config to its task."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...errors import InputError
from ...models.config import ModelConfig
from ...models.networks import Networks, build_networks
from ...weights.folders import model_names
from ...weights.loading import load_model, read_config, resolve_model
from ..config.mouth_reader import MouthReaderTaskConfig
from ..config.run import TrainingConfig
from ..config.tasks import AutoencoderTaskConfig, DenoiserTaskConfig
from .base import Task


def build_task(config: TrainingConfig, folder: Path) -> Task:
    """The task of a config, its networks with their initial weights; ``folder`` is the run's.

    Raises:
        InputError: weights to start from cannot be read, or what validation needs is not installed.
    """
    if isinstance(config.task, AutoencoderTaskConfig):
        from .autoencoder import AutoencoderTask

        source = config.task.initial_weights
        return AutoencoderTask(config.task, config.seed, _read_autoencoder(source) if source else None)
    if isinstance(config.task, MouthReaderTaskConfig):
        from .mouth_reader import MouthReaderTask

        return MouthReaderTask(config.task, config.seed)
    if importlib.util.find_spec("torchmetrics") is None:
        raise InputError("validation", "needs torchmetrics", "pip install 'megactor[train]'")
    from .animation import DenoiserTask

    model, networks = initial_networks(config.task, config.seed)
    return DenoiserTask(config.task, model, networks, config.seed, folder / "cache")


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
        vae, state = _read_autoencoder(config.vae)
        model = dataclasses.replace(model, vae=vae)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        networks = build_networks(model)
    if state is not None:
        networks.vae.load_state_dict(state)
    return model, networks


def _read_autoencoder(source: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Arguments and weights of an exported autoencoder, or of a model's."""
    try:
        folder = resolve_model(source) if str(source) in model_names() else source
        if (folder / "config.json").is_file():
            vae = read_config(folder).vae
        else:
            vae = json.loads((folder / "vae.json").read_text(encoding="utf-8"))
        return vae, load_file(folder / "vae.safetensors")
    except OSError as error:
        raise InputError(
            source,
            f"is no exported autoencoder ({error})",
            "Train one with configs/train/demo_autoencoder.yaml, or give demo",
        ) from None
