"""Count the memory of a full-size training step on meta tensors: nothing is computed, no weights are needed.

python -m benchmarks.training_memory configs/train/megactor_stage2.yaml
python -m benchmarks.training_memory configs/train/xportrait_c.yaml --family xportrait

Counted is every tensor that lives at a time, as a GPU's allocator would hold it without fragmentation:
weights, gradients, optimizer states, and the activations of two accumulated batches, forwards and backwards.
Types follow CUDA's autocast, attention a fused kernel (no matrix of weights). What CUDA itself takes, about
0.5 GiB, and workspaces of convolutions are not in it.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint

from megactor_core import seeds
from megactor_core.families.registry import default_family, find_family
from megactor_core.hearing.features import ROWS_PER_SECOND
from megactor_core.models import recompute
from megactor_core.models.config import ModelConfig
from megactor_core.models.encoder_config import WINDOW_ROWS
from megactor_core.models.networks import build_networks
from megactor_core.models.sd15.resnet import ResnetBlock
from megactor_core.models.temporal import MotionModule
from megactor_core.training.config.run import TrainingConfig, read_config
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.tasks.animation import DenoiserTask
from megactor_core.training.tasks.base import StepContext
from megactor_core.vision.modes.mode import GREY
from megactor_core.vision.modes.registry import MODES

GIB = 2**30
_SECONDS = 4
"""Of a clip's sound."""

SPREAD = (ResnetBlock, FeedForward, MotionModule)
"""Modules that configs/accelerate/fsdp.yaml gathers one by one."""

_LOW = (F.linear, torch.conv2d, F.conv2d, torch.conv1d, torch.matmul, torch.bmm, torch.addmm)
_HIGH = (F.group_norm, F.layer_norm, torch.group_norm, torch.layer_norm, F.mse_loss, F.softmax)


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors on a device that were made since and live, and the most so far."""

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device = device
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == self.device:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


class FusedAttention(torch.autograd.Function):
    """Shapes and saved tensors of a fused attention kernel."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output, query.new_empty(query.shape[:-1], dtype=torch.float))
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


class Autocast(TorchFunctionMode):
    """CUDA's autocast for the operations these networks use; meta tensors have none of their own.

    Args:
        dtype: of products and convolutions.
        cast: trained weights that have been cast; autocast keeps them until it ends.
    """

    def __init__(self, dtype: torch.dtype, cast: dict[int, Tensor]) -> None:
        super().__init__()
        self.dtype, self.cast = dtype, cast

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return FusedAttention.apply(*(self._low(tensor) for tensor in args[:3]))
        if func in _LOW:
            args, kwargs = tree_map(self._low, (args, kwargs))
        elif func in _HIGH:
            args, kwargs = tree_map(_high, (args, kwargs))
        return func(*args, **kwargs)

    def _low(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(self.dtype)
        if id(value) not in self.cast:
            self.cast[id(value)] = value.to(self.dtype)
        return self.cast[id(value)]


def _high(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one training step.

    Attributes:
        trained: number of trained parameters.
        weights: of all networks.
        gradients: fp32.
        states: of the optimizer.
        copies: of the trained weights in the precision of activations, while the loss is computed.
        peak: most at a time, the states not included.
        gathered_once: parameters that FSDP holds whole from the start to the end of a step.
        gathered_most: parameters of the largest module that it gathers and drops again.
    """

    trained: int
    weights: int
    gradients: int
    states: int
    copies: int
    peak: int
    gathered_once: int
    gathered_most: int

    @property
    def total(self) -> int:
        """On one GPU that holds everything."""
        return self.peak + self.states

    @property
    def activations(self) -> int:
        """What the peak has beside weights, gradients and copies."""
        return self.peak - self.weights - self.gradients - self.copies

    def spread(self, gpus: int, offload: bool, trained_weights: int) -> int:
        """On each of some GPUs with FSDP (PyTorch's ``fully_shard``), from what it is known to hold.

        Frozen networks stay whole. Trained ones: shards of weights, gradients and states, unless these are in
        main memory; low-precision weights of the root and of two modules at a time; the root's gradients
        (low precision) with their fp32 copy for the reduction.
        """
        shards = 0 if offload else (trained_weights + self.gradients + self.states) // gpus
        gathered = 2 * self.gathered_once + 2 * 2 * self.gathered_most
        reduced = (2 + 4) * self.gathered_once
        return self.weights - trained_weights + shards + gathered + reduced + self.activations


def count_step(config: TrainingConfig, family: str | None = None) -> tuple[StepMemory, int]:
    """Memory of a step of a family's full-size model, and bytes of its networks that are trained in part."""
    assert config.precision == "bf16" and config.task.name == "denoiser"
    model = (find_family(family) if family else default_family()).config
    live = LiveBytes()
    with live, torch.device("meta"):
        networks = build_networks(model)
    with live:
        task = DenoiserTask(config.task, model, networks, config.seed, Path("unused"))
    for network in networks.items():
        network[1].to("meta").requires_grad_(False)
    parameters = {
        name: parameter
        for prefix, network in task.networks.items()
        for name, parameter in network.named_parameters(prefix=prefix)
    }
    trained = [p.requires_grad_(True) for name, p in parameters.items() if task.trainable(name)]
    if config.gradient_checkpointing:
        task.set_gradient_checkpointing()
    weights, live.peak = live.now, live.now
    copies = 0
    for part in range(2):
        with live:
            copies = max(copies, _run_part(config, task, part))
    count = sum(parameter.numel() for parameter in trained)
    spread = [m for network in task.networks.values() for m in network.modules() if isinstance(m, SPREAD)]
    taken: set[Tensor] = set()
    sizes = []
    for module in reversed(spread):  # the inner ones first
        own = set(module.parameters()) - taken
        sizes.append(sum(parameter.numel() for parameter in own))
        taken |= own
    whole = sum(parameter.numel() for parameter in parameters.values())
    state_bytes = 8 if config.optimizer.name == "adamw" else 2 + 8 / 256
    memory = StepMemory(
        trained=count,
        weights=weights,
        gradients=4 * count,
        states=int(count * state_bytes),
        copies=copies,
        peak=live.peak,
        gathered_once=whole - sum(sizes),
        gathered_most=max(sizes),
    )
    return memory, 4 * whole


def _run_part(config: TrainingConfig, task: DenoiserTask, part: int) -> int:
    """Loss and gradients of one batch; returns the bytes of weights that were cast."""
    generator = seeds.torch_generator(config.seed, seeds.NOISE, 0, part)
    kept: dict[int, Tensor] = {}
    forward = True

    def again(module: Callable[..., Tensor], *arguments: object, use_reentrant: bool) -> Tensor:
        """A checkpointed block: its activations are computed again under an autocast of their own."""

        def run(*inputs: object) -> Tensor:
            with Autocast(torch.bfloat16, kept if forward else {}):
                return module(*inputs)

        return checkpoint(run, *arguments, use_reentrant=use_reentrant)

    with mock.patch.object(recompute, "checkpoint", again):
        with Autocast(torch.bfloat16, kept):
            loss, _ = task.loss(
                _batch(config, task.model), StepContext(0, 1, generator, ProcessGroup("meta"))
            )
        size = sum(tensor.nbytes for tensor in kept.values())
        kept.clear()
        forward = False
        loss.backward()
    return size


def _batch(config: TrainingConfig, model: ModelConfig) -> dict[str, Tensor]:
    """A batch of which nothing is masked."""
    data = config.task.data  # type: ignore[union-attr]
    rows, frames, size, cells = data.references, data.frames, data.size, data.size // 8
    make: Callable[..., Tensor] = torch.empty
    batch = {
        "references": make(rows, 3, size, size, dtype=torch.uint8, device="meta"),
        "targets": make(rows, frames, 3, size, size, dtype=torch.uint8, device="meta"),
        "background_masks": make(rows, 1, cells, cells, device="meta"),
        "backgrounds": make(rows, 3, 224, 224, device="meta"),
        "weights": make(rows, frames, cells, cells, device="meta"),
    }
    for name in MODES[model.driving_modes[0]].pictures:
        shape = (size, size) if name == GREY else (3, size, size)
        batch[name] = make(rows, frames, *shape, dtype=torch.uint8, device="meta")
    if model.audio_encoder is not None:
        moments = round(_SECONDS * ROWS_PER_SECOND)
        states, width = model.audio_encoder.states, model.audio_encoder.width
        batch["sound_features"] = make(rows, moments, states, width, device="meta")
        batch["sound_rows"] = make(rows, frames, WINDOW_ROWS, dtype=torch.int64, device="meta")
    if config.task.modalities is not None:  # type: ignore[union-attr]
        batch |= {name: torch.ones(rows, dtype=torch.bool) for name in ("reads", "shows", "hears")}
        batch["hidden"] = torch.zeros(rows, cells, cells, dtype=torch.bool)
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", type=Path, nargs="+", metavar="YAML", help="of a training of the denoiser")
    parser.add_argument("--family", help="whose full-size model is trained (default: the first)")
    args = parser.parse_args()
    for path in args.configs:
        config = read_config(path)
        memory, trained_weights = count_step(config, args.family)
        data = config.task.data  # type: ignore[union-attr]
        print(f"{path}: {data.references} x {data.frames} frames of {data.size} px, {config.precision}")
        print(f"    {'trained parameters':44}{memory.trained / 1e6:9.1f} M")
        for name, size in (
            ("weights", memory.weights),
            ("gradients (fp32)", memory.gradients),
            (f"optimizer states ({config.optimizer.name})", memory.states),
            ("trained weights again in bf16", memory.copies),
            ("activations", memory.activations),
            ("one GPU", memory.total),
            ("each of 2 GPUs, fsdp.yaml", memory.spread(2, False, trained_weights)),
            ("each of 4 GPUs, fsdp.yaml", memory.spread(4, False, trained_weights)),
            ("one GPU, fsdp_offload.yaml", memory.spread(1, True, trained_weights)),
            ("  and in main memory", trained_weights + memory.gradients + memory.states),
        ):
            print(f"    {name:44}{size / GIB:9.2f} GiB")


if __name__ == "__main__":
    main()
