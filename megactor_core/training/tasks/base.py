"""Protocol of a training task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..data.loader import Batch
from ..distributed import ProcessGroup

if TYPE_CHECKING:  # networks take seconds to import, and workers of the data need none
    from ...weights.loading import LoadedModel


@dataclass(frozen=True)
class StepContext:
    """Step context of a batch.

    Attributes:
        step: optimizer step, 0-based.
        steps: optimizer steps of the whole run.
        generator: the only source of random numbers for this batch, on the CPU; the same on every process,
            which draws for the whole batch and keeps the numbers of its own clips.
        processes: that share the batch.
        timestep: of all clips; None draws them. The held-out loss is measured so.
    """

    step: int
    steps: int
    generator: torch.Generator
    processes: ProcessGroup
    timestep: int | None = None


class Task(Protocol):
    """Networks, data and loss of one kind of training."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Networks that are trained, at least in part."""

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """Other networks the loss needs."""

    @property
    def family(self) -> str:
        """Kind of model; checkpoints of another one are refused."""

    @property
    def batch_size(self) -> int:
        """Entries of a batch (clips or pictures), over all processes."""

    def trainable(self, name: str) -> bool:
        """Whether the parameter ``network.parameter`` is trained."""

    def dataset(self, processes: ProcessGroup) -> Dataset[Batch]:
        """This process's part of batches by index: item ``i`` depends on the seed and ``i`` alone.

        Runs in worker processes.
        """

    def loss(self, batch: Batch, context: StepContext) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Scalar loss of this process's part, and scalars for the log (detached).

        Means over the processes are those of the whole batch.
        """

    def held_out_loss(self, device: torch.device) -> Mapping[str, float]:
        """Losses of held-out data with random numbers that are always the same, ``loss`` their mean.

        Every process measures all of them. Empty where a task has none.
        """

    def model_in_training(self) -> LoadedModel | None:
        """The networks as they are, to animate with; None where a task trains no denoiser."""

    def validate(self, device: torch.device, folder: Path | None) -> Mapping[str, float]:
        """Metrics on held-out data; writes pictures into ``folder``, nothing without one."""

    def set_gradient_checkpointing(self) -> None:
        """Let the networks recompute their activations."""

    def export(self, folder: Path | None) -> None:
        """Write the networks as they are into a folder; without one, only help to put them together."""
