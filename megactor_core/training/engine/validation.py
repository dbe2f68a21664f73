"""Everything that is measured and shown while a run goes on, with its averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from ...files import refused_writes
from ..config.run import TrainingConfig
from ..config.tasks import DenoiserTaskConfig
from ..distributed import ProcessGroup
from ..tasks.base import Task
from .checkpoint import GOES_ON
from .log import RunLog
from .samples import Samples
from .state import RunState
from .step import autocast


class Validation:
    """Held-out loss, validation and samples of a run, written into ``validation/`` and its log.

    Args:
        config: of the run.
        task: its networks and data.
        folder: of the run.
        processes: that share it; all of them measure.
        step: the training step, with the networks.
        state: tells the step and has the averages.

    Raises:
        InputError: a sample that cannot be made.
    """

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        folder: Path,
        *,
        processes: ProcessGroup,
        step: nn.Module,
        state: RunState,
    ) -> None:
        self.config, self.task, self.folder, self.processes = config, task, folder / "validation", processes
        self.step, self.state = step, state
        self.samples: Samples | None = None
        model = task.model_in_training()
        if isinstance(config.task, DenoiserTaskConfig) and model is not None and config.samples:
            self.samples = Samples(
                config.samples,
                model,
                seed=config.seed,
                size=config.task.data.size,
                num_inference_steps=config.task.validation.num_inference_steps,
            )

    def before_the_first_step(self, log: RunLog | None) -> None:
        """Measure the held-out loss; all the rest where the config asks for it."""
        self._measure(log, everything=self.config.validation_at_start)

    def __call__(self, log: RunLog | None) -> None:
        """Measure and show everything; ``log`` is that of the process that writes."""
        self._measure(log, everything=True)

    def _measure(self, log: RunLog | None, *, everything: bool) -> None:
        step = self.state.step
        folder = self.folder / f"step_{step:08d}"
        values: dict[str, float] = {}
        with self._evaluating():
            losses = self.task.held_out_loss(self.processes.device)
            values |= {f"held_out/{name}": value for name, value in losses.items()}
            if everything:
                if log:
                    with refused_writes(folder, GOES_ON):
                        folder.mkdir(parents=True, exist_ok=True)
                metrics = self.task.validate(self.processes.device, folder if log else None)
                values |= {f"validation_{name}": value for name, value in metrics.items()}
                self._make_samples(folder, log)
        if log and values:
            log.write(step, values)

    def _make_samples(self, folder: Path, log: RunLog | None) -> None:
        # Weights that are spread over processes want all of them to call the same networks.
        if self.samples and (log or self.processes.sharded):
            with nullcontext(folder) if log else TemporaryDirectory() as place:
                self.samples.make(Path(place), self.state.step, log)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Inside, the networks hold the averages, whole, and are in evaluation mode."""
        for network in self.task.networks.values():
            network.eval()
        with (
            self.state.averaged(),
            self.processes.whole_weights(self.step),
            autocast(self.processes.device, self.config.precision),
            torch.no_grad(),
        ):
            yield
        for network in self.task.networks.values():
            network.train()
