"""Seconds of a training step with and without compiled blocks, side by side in one process.

python -m benchmarks.compiled_training configs/train/demo_stage2.yaml --set task.initial_weights=demo
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from megactor_core import seeds
from megactor_core.training.config.run import TrainingConfig, read_config
from megactor_core.training.data.loader import Batch
from megactor_core.training.distributed import join_process_group
from megactor_core.training.engine.step import to_device
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.base import StepContext
from megactor_core.training.tasks.registry import build_task


class Run:
    """A training whose steps are timed; data are prepared before."""

    def __init__(self, config: TrainingConfig, folder: Path, steps: int) -> None:
        self.processes = join_process_group(config.device)
        task = build_task(config, folder)
        self.trainer = Trainer(config, task, folder, self.processes)
        dataset = task.dataset(self.processes)
        self.batches: Iterator[Batch] = iter([dataset[index] for index in range(steps)])

    def step(self) -> float:
        """Seconds of a forward and backward pass and an optimizer step."""
        trainer, state = self.trainer, self.trainer.state
        batch = to_device(next(self.batches), self.processes.device)
        begin = time.perf_counter()
        generator = seeds.torch_generator(trainer.config.seed, seeds.NOISE, state.step, 0)
        context = StepContext(state.step, trainer.config.steps, generator, self.processes)
        loss, _ = trainer.step(batch, context)
        loss.backward()
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        if self.processes.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, metavar="YAML", help="of a training")
    parser.add_argument("--set", nargs="+", default=(), metavar="FIELD=VALUE", help="as in train")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each, in turns")
    arguments = parser.parse_args()
    config = read_config(arguments.config, arguments.set)
    with TemporaryDirectory() as folder:
        runs = [
            Run(config.model_copy(update={"compile": on}), Path(folder) / str(on), arguments.steps + 1)
            for on in (False, True)
        ]
        first = [run.step() for run in runs]
        times = list(zip(*([run.step() for run in runs] for _ in range(arguments.steps)), strict=True))
    plain, compiled = (median(seconds) for seconds in times)
    print(f"first step: {first[0]:.2f} s, with compilation {first[1]:.2f} s")
    print(f"median of {arguments.steps} steps: {plain:.3f} s, compiled {compiled:.3f} s")
    print(f"compiled / plain: {compiled / plain:.3f}")


if __name__ == "__main__":
    main()
