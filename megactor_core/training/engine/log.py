"""Log of a run: JSON lines, tensorboard, and the progress line."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from ...animation.memory import peak_bytes
from ...files import refused_writes, write_text
from ..data.loader import Batch
from .checkpoint import GOES_ON


class JsonLines:
    """Appends records to a JSON-lines file; opening it at a step drops what was logged after that step."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        # What is logged before the first step is measured again where a run begins anew.
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step] if step else []
        write_text(path, "".join(line + "\n" for line in kept))

    def write(self, step: int, **values: Any) -> None:
        """Add one record; ``step`` counts the optimizer steps done.

        Raises:
            InputError: the file cannot be written.
        """
        with refused_writes(self.path, GOES_ON), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def _lines(path: Path) -> list[str]:
    """Complete lines: a killed process can leave half a line at the end."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]


class RunLog:
    """Sums what steps return and reports their means; one per run, on the process that writes.

    Tensorboard files appear in ``tensorboard/`` where that package is installed. Opened at a step, both logs
    drop what was logged after it.

    Args:
        folder: of the run.
        step: that the run goes on from.
        steps: of the whole run.
        samples: clips or pictures of one step.
        device: whose memory is reported.
    """

    def __init__(self, folder: Path, step: int, steps: int, samples: int, device: torch.device) -> None:
        self.lines = JsonLines(folder / "log.jsonl", step)
        self.board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else 0)
        self.samples, self.device = samples, device
        self.bar = tqdm(total=steps, initial=step, unit="step", smoothing=0.05)
        self.sums: dict[str, Tensor] = {}
        self.summed, self.since, self.waited = 0, time.monotonic(), 0.0

    def timed(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; how long each was waited for counts."""
        batches = iter(stream)
        while True:
            begin = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self.waited += time.monotonic() - begin
            yield batch

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count one step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=value.device)) + value
        self.summed += 1
        self.bar.update()

    def report(self, step: int, rates: Mapping[str, float]) -> None:
        """Write the means since the last report, learning rates, samples per second, the share of the time in
        which batches were waited for, and peak of memory."""
        means = {name: float(value) / self.summed for name, value in self.sums.items()}
        now = time.monotonic()
        seconds = (now - self.since) / self.summed
        speed = {
            "samples_per_second": self.samples / seconds,
            "seconds_per_step": seconds,
            "waiting_share": min(1.0, self.waited / (now - self.since)),
            "memory_gib": peak_bytes(self.device) / 2**30,
        }
        self.write(step, {**means, **rates, **speed})
        shown = {name: f"{value:.4g}" for name, value in means.items()}
        shown["samples/s"] = f"{speed['samples_per_second']:.3g}"
        shown["memory"] = f"{speed['memory_gib']:.1f} GiB"
        self.bar.set_postfix(shown, refresh=False)
        self.sums, self.since, self.summed, self.waited = {}, now, 0, 0.0

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log values of one step.

        Raises:
            InputError: the log cannot be written.
        """
        self.lines.write(step, **values)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def say(self, step: int, name: str, text: str) -> None:
        """Log a line of text, and show it.

        Raises:
            InputError: the log cannot be written.
        """
        self.lines.write(step, **{name: text})
        tqdm.write(text)

    def show(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Put a picture, RGB (H, W, 3), into tensorboard."""
        if self.board is not None:
            self.board.add_image(name, picture, step, dataformats="HWC")

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Context whose time does not count for samples per second."""
        before = time.monotonic()
        yield
        self.since += time.monotonic() - before

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        if self.board is not None:
            self.board.close()
