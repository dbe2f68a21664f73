"""From a config to its task."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

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
    """The networks a run starts from: loaded, or fresh from the seed with what is given of trained ones.

    Raises:
        InputError: the folder of the autoencoder or of the initial weights is unusable.
    """
    model = config.model
    if model is None:
        assert config.initial_weights is not None  # the config has checked it
        loaded = load_model(config.initial_weights)
        return loaded.config, loaded.networks
    state: dict[str, Tensor] | None = None
    if config.vae is not None:
        vae, state = _read_autoencoder(config.vae)
        model = dataclasses.replace(model, vae=vae)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        networks = build_networks(model)
    if config.initial_weights is not None:
        _take_what_fits(networks, config.initial_weights)
    if state is not None:
        networks.vae.load_state_dict(state)
    return model, networks


def _take_what_fits(networks: Networks, source: Path) -> None:
    """Weights of another model where names and shapes are the same; the others stay as they are.

    Raises:
        InputError: less than half of the denoiser's are.
    """
    known = dict(load_model(source).networks.items())
    taken: list[str] = []
    for name, network in networks.items():
        own = network.state_dict()
        given = known[name].state_dict() if name in known else {}
        shapes = {key: value.shape for key, value in given.items()}
        fitting = {key: given[key] for key, value in own.items() if shapes.get(key) == value.shape}
        network.load_state_dict(own | fitting)
        taken.append(f"{len(fitting)} of {len(own)} tensors of {name}")
        if name == "denoiser" and 2 * len(fitting) < len(own):
            problem = f"has {taken[-1]} as task.model describes it, less than half"
            raise InputError(source, problem, "Give a model of the same widths, or leave it out")
    tqdm.write(f"{source}: {', '.join(taken)} fit; the others are new", file=sys.stderr)


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
