"""What the training loop asks of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Position:
    """Where in the run a batch stands.

    Attributes:
        step: optimizer step, 0-based.
        steps: optimizer steps of the whole run.
        generator: the only source of random numbers for this batch, on the CPU.
    """

    step: int
    steps: int
    generator: torch.Generator


class Task(Protocol):
    """Networks, data and loss of one kind of training."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Networks that are trained, at least in part; saved whole in every checkpoint."""

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """Other networks the loss needs; moved to the device, never saved."""

    def trainable(self, name: str) -> bool:
        """Whether the parameter ``network.parameter`` is trained."""

    def dataset(self) -> Dataset[Batch]:
        """Batches by index: item ``i`` depends on the seed and ``i`` alone. Runs in worker processes."""

    def loss(self, batch: Batch, position: Position) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Scalar loss of one batch, and scalars for the log (detached)."""

    def validate(self, device: torch.device, picture: Path) -> Mapping[str, float]:
        """Metrics on held-out data; writes a contact sheet to ``picture``."""

    def set_gradient_checkpointing(self) -> None:
        """Let the networks recompute their activations."""

    def export(self, folder: Path) -> None:
        """Write the networks as they are into a model folder."""
