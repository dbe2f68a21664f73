"""The training loop: optimizer, averages, log, validation and exact resume, whatever the task."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import InputError
from . import seeds
from .checkpoint import Checkpoint, CheckpointFolder
from .config import TrainingConfig, differences
from .data import batches
from .ema import ExponentialMovingAverage
from .interruption import StopRequest
from .journal import Journal
from .schedule import learning_rate
from .task import Batch, Position, Task


class Trainer:
    """One run in a folder: ``config.json``, ``log.jsonl``, ``checkpoints/``, ``validation/``, ``model/``.

    Every random number of a step comes from (seed, step), batches come by index, and checkpoints hold
    weights, optimizer and averages. A run on a CPU that was killed and started again ends with the same bits.
    """

    def __init__(self, config: TrainingConfig, task: Task, folder: Path) -> None:
        self.config, self.task, self.folder = config, task, folder
        self.device = torch.device(_device(config.device))
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints = CheckpointFolder(folder / "checkpoints", config.checkpoints_kept, tqdm.write)
        self._check_config()
        self.parameters = self._prepare()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=config.optimizer.learning_rate,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
            eps=config.optimizer.epsilon,
            fused=True,
        )
        self.ema = ExponentialMovingAverage(self.parameters, config.ema_decay) if config.ema_decay else None
        self.step = 0
        saved = self.checkpoints.latest()
        if saved is not None:
            self._restore(saved)
        self.journal = Journal(folder / "log.jsonl", self.step)

    def run(self) -> bool:
        """Train to the last step and export the model.

        Returns:
            Whether the last step was reached; otherwise the run was asked to stop and saved a checkpoint.

        Raises:
            InputError: the loss or a gradient is not finite, or a checkpoint cannot be written.
        """
        config, start = self.config, self.step
        accumulation = config.gradient_accumulation
        stream = batches(
            self.task.dataset(),
            start * accumulation,
            config.steps * accumulation,
            config.num_workers,
            self.device.type == "cuda",
        )
        sums: dict[str, Tensor] = {}
        since, summed = time.monotonic(), 0
        saved = start
        with (
            StopRequest() as stop,
            tqdm(total=config.steps, initial=start, unit="step", smoothing=0.05) as bar,
        ):
            while self.step < config.steps and not stop.requested:
                for name, value in self._optimizer_step(stream).items():
                    sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
                bar.update()
                summed += 1
                if self.step % config.log_interval == 0:
                    means = {name: float(value) / summed for name, value in sums.items()}
                    now = time.monotonic()
                    rate = learning_rate(config.optimizer, self.step - 1, config.steps)
                    self.journal.write(
                        self.step, **means, learning_rate=rate, seconds_per_step=(now - since) / summed
                    )
                    bar.set_postfix({name: f"{value:.4g}" for name, value in means.items()}, refresh=False)
                    sums, since, summed = {}, now, 0
                if self.step % config.validation_interval == 0 or self.step == config.steps:
                    self._validate()
                if self.step % config.checkpoint_interval == 0:
                    self._save()
                    saved = self.step
            if saved != self.step:
                self._save()
        if self.step < config.steps:
            return False
        self.export(self.folder / "model")
        return True

    def export(self, folder: Path) -> None:
        """Write the averaged weights (the plain ones without an average) as a model folder."""
        with self.ema.applied() if self.ema else nullcontext():
            self.task.export(folder)

    def _optimizer_step(self, stream: Any) -> dict[str, Tensor]:
        config = self.config
        rate = learning_rate(config.optimizer, self.step, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        values: dict[str, Tensor] = {}
        for part in range(config.gradient_accumulation):
            generator = seeds.torch_generator(config.seed, seeds.NOISE, self.step, part)
            batch = _to_device(next(stream), self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                loss, scalars = self.task.loss(batch, Position(self.step, config.steps, generator))
            (loss / config.gradient_accumulation).backward()
            for name, value in {"loss": loss.detach(), **scalars}.items():
                values[name] = values.get(name, 0) + value.float() / config.gradient_accumulation
        limit = config.optimizer.max_gradient_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        values["gradient_norm"] = norm.detach()
        if not math.isfinite(float(values["loss"])) or not math.isfinite(float(norm)):
            self._stop_diverged()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.step)
        self.step += 1
        return values

    def _stop_diverged(self) -> None:
        paths = self.checkpoints.paths()
        last = f"the last good checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"
        raise InputError(
            self.folder,
            f"the loss or a gradient is not finite at step {self.step + 1}; {last}",
            "Lower optimizer.learning_rate or raise optimizer.warmup_steps and start again",
        )

    def _validate(self) -> None:
        picture = self.folder / "validation" / f"step_{self.step:08d}.png"
        picture.parent.mkdir(exist_ok=True)
        for network in self.task.networks.values():
            network.eval()
        with self.ema.applied() if self.ema else nullcontext(), torch.no_grad():
            metrics = self.task.validate(self.device, picture)
        for network in self.task.networks.values():
            network.train()
        self.journal.write(self.step, **{f"validation_{name}": value for name, value in metrics.items()})

    def _check_config(self) -> None:
        """A folder belongs to one config: going on with another would silently train something else."""
        path = self.folder / "config.json"
        if path.exists():
            old = TrainingConfig.model_validate_json(path.read_text(encoding="utf-8"))
            changed = differences(old, self.config)
            if changed and self.checkpoints.paths():
                raise InputError(
                    self.folder,
                    f"holds a run with another config ({'; '.join(changed)})",
                    "Give another --output, or use the config that the run was started with",
                )
        path.write_text(self.config.model_dump_json(indent=1), encoding="utf-8")

    def _prepare(self) -> dict[str, nn.Parameter]:
        """Networks to the device; returns the trained parameters by name."""
        for network in (*self.task.networks.values(), *self.task.frozen):
            network.to(self.device).requires_grad_(False)
        parameters = {}
        for prefix, network in self.task.networks.items():
            network.train()
            for name, parameter in network.named_parameters(prefix=prefix):
                if self.task.trainable(name):
                    parameter.requires_grad_(True)
                    parameters[name] = parameter
        if self.config.gradient_checkpointing:
            self.task.set_gradient_checkpointing()
        return parameters

    def _save(self) -> None:
        states = self.optimizer.state
        tensors = {
            "networks": {
                f"{prefix}.{name}": value
                for prefix, network in self.task.networks.items()
                for name, value in network.state_dict().items()
            },
            "optimizer": {
                f"{key}.{name}": value
                for name, parameter in self.parameters.items()
                for key, value in states[parameter].items()
            },
        }
        if self.ema:
            tensors["ema"] = self.ema.averages
        self.checkpoints.save(Checkpoint(self.step, tensors, {"seed": self.config.seed}))

    def _restore(self, saved: Checkpoint) -> None:
        self.step = saved.step
        for prefix, network in self.task.networks.items():
            start = f"{prefix}."
            network.load_state_dict(
                {
                    n.removeprefix(start): t
                    for n, t in saved.tensors["networks"].items()
                    if n.startswith(start)
                }
            )
        for key_name, tensor in saved.tensors["optimizer"].items():
            key, name = key_name.split(".", 1)
            parameter = self.parameters[name]
            # The fused kernel wants moments in the memory format of their weight.
            value = torch.empty_like(parameter).copy_(tensor) if tensor.ndim else tensor.to(self.device)
            self.optimizer.state[parameter][key] = value
        if self.ema:
            self.ema.load(saved.tensors["ema"])


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _to_device(batch: Batch, device: torch.device) -> Batch:
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
