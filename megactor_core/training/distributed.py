"""The processes that share one run: a single one, or those that a launcher started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError

_TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others: the first one may be writing a large checkpoint."""


class ProcessGroup:
    """A process that trains alone.

    Every batch is shared in equal parts: process ``rank`` has the clips ``rank * n`` to
    ``(rank + 1) * n - 1`` of it, with the random numbers that these have however many processes there are.

    Attributes:
        device: where this process computes.
        rank: number of this process.
        count: how many there are.
        sharded: whether each holds only a part of every weight (FSDP).
    """

    rank = 0
    count = 1
    sharded = False

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def part(self, whole: int) -> slice:
        """This process's entries among ``whole`` of a batch.

        Raises:
            InputError: they cannot be shared evenly.
        """
        own = whole // self.count
        if own * self.count != whole:
            raise InputError(
                f"a batch of {whole}",
                f"cannot be shared evenly by {self.count} processes",
                "Set task.data.references (autoencoder: task.batch_size) to a multiple of their number",
            )
        return slice(self.rank * own, (self.rank + 1) * own)

    def wrap(self, step: nn.Module, precision: torch.dtype) -> nn.Module:
        """The training step on this device, its gradients averaged over the processes."""
        return step.to(self.device)

    def more_to_come(self, step: nn.Module) -> AbstractContextManager[Any]:
        """Inside, gradients are summed up here and not yet averaged over the processes."""
        return nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes; without gradient."""
        return values

    def whole_weights(self, step: nn.Module) -> AbstractContextManager[Any]:
        """Inside, networks hold their whole weights and can be called in any way; all processes enter."""
        return nullcontext()

    def end(self) -> None:
        """Nothing will be shared any more."""


class LaunchedProcessGroup(ProcessGroup):
    """One of the processes of ``accelerate launch`` or ``torchrun``: DDP, or FSDP where that is asked for.

    Both launchers name a process by ``RANK``, ``LOCAL_RANK`` and ``WORLD_SIZE``; accelerate's configuration
    asks for FSDP by ``ACCELERATE_USE_FSDP``, ``FSDP_OFFLOAD_PARAMS`` and ``FSDP_TRANSFORMER_CLS_TO_WRAP``.
    """

    def __init__(self, device: str) -> None:
        from ..animator import usable_device

        if device != "cpu":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(usable_device(device))
        super().__init__(device)
        backend = "gloo" if device == "cpu" else "nccl"
        distributed.init_process_group(backend, timeout=_TIMEOUT)
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()
        self.sharded = _is_set("ACCELERATE_USE_FSDP")

    def wrap(self, step: nn.Module, precision: torch.dtype) -> nn.Module:
        if self.sharded:
            return self._spread(step, precision)
        # Clips without a reference, or without temporal modules, leave weights unused. Looking for these
        # also keeps the order of summation the same in every step, so that a resumed run repeats it.
        return DistributedDataParallel(
            step.to(self.device),
            find_unused_parameters=True,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )

    def _spread(self, step: nn.Module, precision: torch.dtype) -> nn.Module:
        # In torch 2.6 and newer; a single process trains with older ones too.
        from torch.distributed.fsdp import (
            CPUOffloadPolicy,
            MixedPrecisionPolicy,
            OffloadPolicy,
            fully_shard,
        )

        # Parts of weights can only be taken from the usual memory format.
        step.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        mesh = init_device_mesh(self.device.type, (self.count,))
        offload = CPUOffloadPolicy(pin_memory=self.device.type != "cpu")
        shard = partial(
            fully_shard,
            mesh=mesh,
            # Precision is the training configuration's business, whatever the launch configuration says.
            mp_policy=MixedPrecisionPolicy(
                param_dtype=precision, reduce_dtype=torch.float32, cast_forward_inputs=False
            ),
            offload_policy=offload if _is_set("FSDP_OFFLOAD_PARAMS") else OffloadPolicy(),
        )
        together = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "").split(",")
        for module in reversed([*step.modules()]):  # what is inside another before that
            if type(module).__name__ in together:
                shard(module, reshard_after_forward=True)
        shard(step)  # in place
        return step

    def more_to_come(self, step: nn.Module) -> AbstractContextManager[Any]:
        # Waiting would keep the whole gradients on every process, which is what spreading them avoids.
        return step.no_sync() if isinstance(step, DistributedDataParallel) else nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    @contextmanager
    def whole_weights(self, step: nn.Module) -> Iterator[None]:
        from torch.distributed.fsdp import FSDPModule

        parts = [module for module in step.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.unshard()
        yield
        for part in parts:
            part.reshard()

    def end(self) -> None:
        distributed.destroy_process_group()


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"


def join_process_group(device: str) -> ProcessGroup:
    """The processes that this one belongs to.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ...; under a launcher, each process
            gets a GPU of its own.

    Raises:
        InputError: the device cannot be used here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if "LOCAL_RANK" in os.environ:
        return LaunchedProcessGroup(device)
    from ..animator import usable_device  # with all networks: seconds, which workers of the data are spared

    return ProcessGroup(str(usable_device(device)))


@torch.no_grad()
def assign(target: Any, value: Tensor) -> None:
    """Copy a whole tensor into one that may be spread over the processes."""
    if hasattr(target, "device_mesh"):
        # Every process has read the whole value and takes its own part of it.
        spread = distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)
        target, value = target.to_local(), spread.to_local()
    target.copy_(value)
