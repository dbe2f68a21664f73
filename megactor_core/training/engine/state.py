"""Training state: gather into a checkpoint, restore from one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from ...weights.saving import full
from ..config.run import TrainingConfig
from ..distributed import ProcessGroup, assign
from ..tasks.base import Task
from .checkpoint import Checkpoint
from .optimizer import optimizer_state, restore_optimizer


class WeightAverages:
    """Exponential moving averages of named parameters, which diffusers' ``EMAModel`` keeps.

    The decay is at most ``(1 + step) / (10 + step)``, and 0 at step 0, so that the random start is forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float, sharded: bool = False) -> None:
        self.parameters = dict(parameters)
        # torch copies no list of tensors that are spread over processes
        self.model = EMAModel(self.parameters.values(), decay=decay, foreach=not sharded)

    @property
    def averages(self) -> dict[str, Tensor]:
        """By the names of the parameters."""
        return dict(zip(self.parameters, self.model.shadow_params, strict=True))

    def update(self, step: int) -> None:
        """Take the weights after optimizer step ``step`` (0-based) in."""
        self.model.optimization_step = step  # a resumed run starts a new model
        self.model.step(self.parameters.values())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The networks hold the averages inside the block."""
        self.model.store(self.parameters.values())
        self.model.copy_to(self.parameters.values())
        try:
            yield
        finally:
            self.model.restore(self.parameters.values())

    def load(self, averages: Mapping[str, Tensor]) -> None:
        """Take over saved averages."""
        for name, average in self.averages.items():
            assign(average, averages[name])


@dataclass
class RunState:
    """Training state: gather into, restore from, a checkpoint.

    There is no state of random generators and none of the data: random numbers and batches come by the number
    of the step, on every process.

    Attributes:
        parameters: the trained weights by name.
        optimizer: with their moments.
        ema: their average, if there is one.
        scaler: of the fp16 gradients; disabled otherwise.
        identity: what the run is, from ``run_identity``.
        step: optimizer steps done.
        restarted: the step at which the optimizer began (anew).
    """

    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    ema: WeightAverages | None
    scaler: torch.amp.GradScaler
    identity: Mapping[str, Any]
    step: int = 0
    restarted: int = 0

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the networks hold the averages, if there are any."""
        return self.ema.applied() if self.ema else nullcontext()

    def collect(self, processes: ProcessGroup) -> Checkpoint:
        """Gather a checkpoint; all processes call it, the main one gets the tensors."""
        moments, numbers = optimizer_state(self.optimizer, self.parameters)
        groups: dict[str, Mapping[str, Tensor]] = {"networks": self.parameters, "optimizer": moments}
        if self.ema:
            groups["ema"] = self.ema.averages
        tensors = {name: _whole(group, processes) for name, group in groups.items()}
        state = {
            **self.identity,
            "optimizer": numbers,
            "optimizer_restart": self.restarted,
            "scaler": self.scaler.state_dict(),
        }
        return Checkpoint(self.step, tensors, state)

    def restore(self, saved: Checkpoint, *, restarts_optimizer: bool = False) -> None:
        """Go on from a checkpoint, with its optimizer or with a fresh one."""
        for name, parameter in self.parameters.items():
            assign(parameter, saved.tensors["networks"][name])
        if restarts_optimizer:
            self.restarted = saved.step
        else:
            self.restarted = saved.state.get("optimizer_restart", 0)
            restore_optimizer(
                self.optimizer, self.parameters, saved.tensors["optimizer"], saved.state["optimizer"]
            )
        if self.ema:
            self.ema.load(saved.tensors["ema"])
        self.scaler.load_state_dict(saved.state["scaler"])
        self.step = saved.step


def run_identity(config: TrainingConfig, task: Task) -> dict[str, Any]:
    """Identity of a run: what a checkpoint must have in common with it.

    Weights that are not trained are in no checkpoint; their checksum is.
    """
    checksum = 0
    networks = [*sorted(task.networks.items()), *((str(i), m) for i, m in enumerate(task.frozen))]
    for prefix, network in networks:
        for name, tensor in network.named_parameters(prefix=prefix):
            if not task.trainable(name):
                values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
                checksum = zlib.crc32(values.data, checksum)
    return {"family": task.family, "fixed_weights": checksum, "config": config.model_dump(mode="json")}


def _whole(tensors: Mapping[str, Tensor], processes: ProcessGroup) -> dict[str, Tensor]:
    """The tensors themselves, or put together from their parts, in main memory."""
    if not processes.sharded:
        return dict(tensors)
    whole = {}
    for name, tensor in tensors.items():
        value = full(tensor.detach())
        if processes.is_main:
            whole[name] = value.cpu()
    return whole
