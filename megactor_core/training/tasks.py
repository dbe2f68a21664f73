"""From a config to its task."""

from __future__ import annotations

from megactor_core.training.autoencoder import AutoencoderTask
from megactor_core.training.config import TrainingConfig
from megactor_core.training.task import Task


def build_task(config: TrainingConfig) -> Task:
    """The task of a config, its networks with their initial weights."""
    return AutoencoderTask(config.task, config.seed)
