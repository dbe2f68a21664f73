"""One training step as a module, so that gradients of all its networks can be shared between processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..config.run import TrainingConfig
from ..data.loader import Batch
from ..distributed import ProcessGroup
from ..tasks.base import StepContext, Task
from .compiled import compile_blocks

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Computation in a precision of ``PRECISIONS``; weights stay fp32."""
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


class TrainingStep(nn.Module):
    """Loss of one batch; holds the networks that are trained, at least in part."""

    def __init__(self, task: Task, precision: str) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(dict(task.networks))
        self.precision = precision
        # The task's other networks are neither shared nor spread.
        self._loss = task.loss

    def forward(self, batch: Batch, context: StepContext) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Same as ``Task.loss``."""
        with autocast(context.processes.device, self.precision):
            return self._loss(batch, context)


def prepare_step(
    config: TrainingConfig, task: Task, processes: ProcessGroup
) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """The step on its device, shared by the processes; and the trained parameters by name.

    Raises:
        InputError: weights of several types, or a discriminator, are to be spread over processes.
    """
    types = {weight.dtype for network in task.networks.values() for weight in network.parameters()}
    if processes.sharded and len(types) > 1:
        problem = "does not work on weights that are spread over processes (FSDP)"
        raise InputError("task.lora.base_precision: bf16", problem, "Use configs/accelerate/ddp.yaml")
    if processes.sharded and "discriminator" in task.networks:
        problem = "does not work on weights that are spread over processes (FSDP)"
        remedy = "Use configs/accelerate/ddp.yaml, or 0"
        raise InputError("task.distillation.adversarial_weight", problem, remedy)
    for network in (*task.networks.values(), *task.frozen):
        network.requires_grad_(False)
    for network in task.frozen:
        network.to(processes.device)
    for prefix, network in task.networks.items():
        network.train()
        for name, parameter in network.named_parameters(prefix=prefix):
            parameter.requires_grad_(task.trainable(name))
    if config.gradient_checkpointing:
        task.set_gradient_checkpointing()
    if config.compile:
        compile_blocks(task.networks.values())
    step = processes.wrap(TrainingStep(task, config.precision), PRECISIONS[config.precision])
    # Only now: spreading them over processes makes new parameters.
    parameters = {
        name: parameter
        for prefix, network in task.networks.items()
        for name, parameter in network.named_parameters(prefix=prefix)
        if parameter.requires_grad
    }
    return step, parameters


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """The tensors of a batch on a device; the rest as it is."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
