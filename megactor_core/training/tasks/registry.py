"""From a config to its task."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...errors import InputError
from ...families.features import encodes_driver, reads_background
from ...families.registry import FAMILIES, families_with
from ...models.config import ModelConfig
from ...models.networks import Networks, build_networks
from ...weights.loading import load_model
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

        return AutoencoderTask(config.task, config.seed)
    if importlib.util.find_spec("torchmetrics") is None:
        raise InputError("validation", "needs torchmetrics", "pip install 'megactor[train]'")
    from .animation import DenoiserTask

    model, networks = initial_networks(config.task, config.seed)
    _check_family(config.task, model)
    return DenoiserTask(config.task, model, networks, config.seed, folder / "cache")


def _check_family(task: DenoiserTaskConfig, model: ModelConfig) -> None:
    """Raises InputError for a model of a family that cannot be trained here."""
    published = FAMILIES[model.family].config if model.family in FAMILIES else model
    if all(encodes_driver(config) and reads_background(config) for config in (model, published)):
        return
    subject = "task.model.family" if task.model is not None else "task.initial_weights"
    trained = families_with(lambda other: encodes_driver(other) and reads_background(other))
    raise InputError(
        f"{subject}: {model.family}",
        "cannot be trained here",
        f"Only {' and '.join(family.name for family in trained)} can",
    )


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
