"""The training loop: optimizer, averages, log, validation and exact resume, whatever the task."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from tqdm import tqdm

from ... import seeds
from ...errors import InputError
from ...files import refused_writes, write_text
from ...interruption import StopRequest
from ...weights.saving import full
from ..config.run import TrainingConfig
from ..data.loader import Batch, batches, lost_workers_told
from ..distributed import ProcessGroup
from ..tasks.base import StepContext, Task
from .checkpoint import CheckpointFolder
from .log import RunLog
from .optimizer import build_optimizer, learning_rate, learning_rates, set_rate
from .resume import Resume
from .state import RunState, WeightAverages, run_identity
from .step import prepare_step, to_device
from .validation import Validation


class Trainer:
    """One run in a folder: ``config.json``, ``log.jsonl``, ``checkpoints/``, ``validation/``, ``model/``.

    Every random number of a step comes from (seed, step), batches come by index, and checkpoints hold
    weights, optimizer and averages. A run on a CPU that was killed and started again ends with the same bits.

    Args:
        config: of the run.
        task: its networks, data and loss.
        folder: of the run; all processes see the same one.
        processes: that share the run.
        resume: from which checkpoint it goes on, and what may be other than there.

    Raises:
        InputError: the folder holds a run of another family, config or start, or cannot be written; something
            the config asks for is not installed.
    """

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        folder: Path,
        processes: ProcessGroup,
        resume: Resume | None = None,
    ) -> None:
        resume = resume or Resume()
        self.config, self.task, self.folder, self.processes = config, task, folder, processes
        warn = tqdm.write if processes.is_main else _say_nothing
        self.checkpoints = CheckpointFolder(folder / "checkpoints", config.checkpoints_kept, warn)
        identity = run_identity(config, task)
        self.step, parameters = prepare_step(config, task, processes)
        self.state = RunState(
            parameters=parameters,
            optimizer=build_optimizer(config.optimizer, parameters),
            ema=WeightAverages(parameters, config.ema_decay, processes.sharded) if config.ema_decay else None,
            scaler=torch.amp.GradScaler(processes.device.type, enabled=config.precision == "fp16"),
            identity=identity,
        )
        check = partial(resume.check, own=identity)
        kept, step = self.checkpoints, resume.step
        saved = kept.latest(check) if step is None else kept.at(step, check)
        self.changed: list[str] = []
        if saved is not None:
            self.state.restore(saved, restarts_optimizer=resume.restarts_optimizer)
            self.changed = resume.told(saved.state, identity)
        self._check_common_start()

    def run(self) -> bool:
        """Train to the last step and export the model.

        Returns:
            Whether the last step was reached; otherwise the run was asked to stop and saved a checkpoint.

        Raises:
            InputError: the loss or a gradient is not finite, a checkpoint cannot be written, or another
                training writes into the folder.
        """
        validation = Validation(
            self.config,
            self.task,
            self.folder,
            processes=self.processes,
            step=self.step,
            state=self.state,
        )
        with _sole_writer(self.folder) if self.processes.is_main else nullcontext():
            self._train(validation)
            if self.state.step < self.config.steps:
                return False
            self.export(self.folder / "model")
        return True

    def _train(self, validate: Validation) -> None:
        config, state = self.config, self.state
        accumulation = config.gradient_accumulation
        stream = batches(
            self.task.dataset(self.processes),
            state.step * accumulation,
            config.steps * accumulation,
            config.num_workers,
            self.processes.device.type == "cuda",
        )
        log = self._open_log()
        saved, saved_at = state.step, time.monotonic()
        with lost_workers_told(), closing(stream), StopRequest() as stop, log or nullcontext():
            upcoming: Iterator[Batch] = stream
            if not state.step:
                upcoming = self._measure_start(stream, validate, log)
            if log:
                upcoming = log.timed(upcoming)
            stopped = False
            while state.step < config.steps and not stopped:
                rate = learning_rate(config.optimizer, state.step, config.steps, state.restarted)
                minutes = (time.monotonic() - saved_at) / 60
                due = config.checkpoint_minutes is not None and minutes >= config.checkpoint_minutes
                values, stopped, due = self._optimizer_step(upcoming, rate, stop.requested, due)
                if log:
                    log.add(values)
                    if state.step % config.log_interval == 0:
                        log.report(state.step, learning_rates(config.optimizer, rate))
                with log.uncounted() if log else nullcontext():
                    if state.step % config.validation_interval == 0 or state.step == config.steps:
                        validate(log)
                    if due or state.step % config.checkpoint_interval == 0:
                        self._save()
                        saved, saved_at = state.step, time.monotonic()
            if saved != state.step:
                self._save()

    def _measure_start(
        self, stream: Iterator[Batch], validate: Validation, log: RunLog | None
    ) -> Iterator[Batch]:
        """Measure before the first step; the stream with what was taken of it."""
        first = next(stream)  # from now on workers prepare the others
        with log.uncounted() if log else nullcontext():
            if self.processes.sharded:
                # The first call of spread weights has to be that of the whole step.
                generator = seeds.torch_generator(self.config.seed, seeds.NOISE, 0, 0)
                context = StepContext(0, self.config.steps, generator, self.processes)
                with torch.no_grad():
                    self.step(to_device(first, self.processes.device), context)
            validate.before_the_first_step(log)
        return chain([first], stream)

    def export(self, folder: Path) -> None:
        """Write the averaged weights (the plain ones without an average) as a model folder."""
        with self.state.averaged():
            self.task.export(folder if self.processes.is_main else None)

    def _optimizer_step(
        self, stream: Iterator[Batch], rate: float, stop: bool, due: bool
    ) -> tuple[dict[str, Tensor], bool, bool]:
        """Values for the log, and whether any process was asked to stop, or wants a checkpoint."""
        config, state, processes = self.config, self.state, self.processes
        set_rate(state.optimizer, rate)
        values: dict[str, Tensor] = {}
        for part in range(config.gradient_accumulation):
            generator = seeds.torch_generator(config.seed, seeds.NOISE, state.step, part)
            batch = to_device(next(stream), processes.device)
            last = part == config.gradient_accumulation - 1
            with nullcontext() if last else processes.more_to_come(self.step):
                loss, scalars = self.step(batch, StepContext(state.step, config.steps, generator, processes))
                state.scaler.scale(loss / config.gradient_accumulation).backward()
            for name, value in {"loss": loss.detach(), **scalars}.items():
                values[name] = values.get(name, 0) + value.float() / config.gradient_accumulation
        state.scaler.unscale_(state.optimizer)
        limit = config.optimizer.max_gradient_norm or math.inf
        norm = full(nn.utils.clip_grad_norm_(state.parameters.values(), limit).detach())
        asked = torch.tensor([float(stop), float(due)], device=processes.device)
        common = processes.mean(torch.cat([torch.stack([*values.values()]), asked]))
        values = {**dict(zip(values, common, strict=False)), "gradient_norm": norm}
        self._check_finite(float(values["loss"]), float(norm))
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if state.ema:
            state.ema.update(state.step)
        state.step += 1
        return values, bool(common[-2]), bool(common[-1])

    def _check_finite(self, loss: float, norm: float) -> None:
        """Gradients beyond fp16 are expected: that step is left out, and later ones are scaled less."""
        scale = self.state.scaler.get_scale()
        if math.isfinite(loss) and (math.isfinite(norm) or (self.state.scaler.is_enabled() and scale > 1)):
            return
        paths = self.checkpoints.paths()
        last = f"the last good checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"
        raise InputError(
            self.folder,
            f"the loss or a gradient is not finite at step {self.state.step + 1}; {last}",
            "Lower optimizer.learning_rate or raise optimizer.warmup_steps and start again",
        )

    def _open_log(self) -> RunLog | None:
        """The log of the process that writes."""
        if not self.processes.is_main:
            return None
        write_text(self.folder / "config.json", self.config.model_dump_json(indent=1))
        samples = self.task.batch_size * self.config.gradient_accumulation
        log = RunLog(self.folder, self.state.step, self.config.steps, samples, self.processes.device)
        for line in self.changed:
            log.say(self.state.step, "changed", line)
        return log

    def _check_common_start(self) -> None:
        step = torch.tensor(float(self.state.step), device=self.processes.device)
        if float(self.processes.mean(step)) != self.state.step:
            raise InputError(
                self.folder,
                "holds other checkpoints for other processes",
                "Use a folder that all machines share",
            )

    def _save(self) -> None:
        checkpoint = self.state.collect(self.processes)
        if self.processes.is_main:
            self.checkpoints.save(checkpoint)


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    """Inside, no other training writes into ``folder``; the lock goes with the process, however it ends.

    Raises:
        InputError: another training does; or the folder cannot be written.
    """
    with refused_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                folder, "another training is writing into it", "Wait for its end, or give another --output"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _say_nothing(_: str) -> None:
    pass
