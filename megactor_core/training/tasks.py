"""From a config to its task."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import InputError
from .config import TrainingConfig
from .task import Task
from .task_config import AutoencoderTaskConfig


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
    from .denoiser import DenoiserTask
    from .model_folder import initial_networks

    model, networks = initial_networks(config.task, config.seed)
    return DenoiserTask(config.task, model, networks, config.seed, folder / "cache")
