"""From a config to its task."""

from __future__ import annotations

from pathlib import Path

from megactor_core.training.config import TrainingConfig
from megactor_core.training.task import Task
from megactor_core.training.task_config import AutoencoderTaskConfig


def build_task(config: TrainingConfig, folder: Path) -> Task:
    """The task of a config, its networks with their initial weights; ``folder`` is the run's.

    Raises:
        InputError: weights to start from cannot be read.
    """
    if isinstance(config.task, AutoencoderTaskConfig):
        from megactor_core.training.autoencoder import AutoencoderTask

        return AutoencoderTask(config.task, config.seed)
    from megactor_core.training.denoiser import DenoiserTask
    from megactor_core.training.model_folder import initial_networks

    model, networks = initial_networks(config.task, config.seed)
    return DenoiserTask(config.task, model, networks, config.seed, folder / "cache")
