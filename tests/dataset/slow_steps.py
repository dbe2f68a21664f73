"""Steps for the tests of the machinery; worker processes import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from megactor_core.dataset.settings import Kept, Rejected, SampleSettings, Worker
from megactor_core.dataset.shards import Entry, Shard
from megactor_core.dataset.steps.registry import open_worker
from megactor_core.errors import InputError


class LogSettings(SampleSettings):
    """Writes down every sample it is given; odd ones are rejected."""

    step: ClassVar[str] = "log"
    log: Path
    seconds: float = 0.0
    kill_at: str = ""
    kills: int = 1000
    refuse_at: str = ""
    mark: str = "x"
    gpus_needed: int = Field(0, exclude=True)

    @property
    def gpus(self) -> int:
        return self.gpus_needed

    def work(self, entry: Entry) -> Kept:
        with self.log.open("a") as file:
            file.write(f"{entry.shard.stem}/{entry.key}\n")
        time.sleep(self.seconds)
        if entry.key == self.kill_at and self.log.read_text().count(entry.key) <= self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if entry.key == self.refuse_at:
            raise InputError(entry.key, "cannot be worked on", "Leave it out")
        if int(entry.key[-1]) % 2:
            raise Rejected("odd", entry.key)
        return Kept({**entry.sample(), "mark": self.mark.encode()}, "zero" if entry.key == "clip0" else "")


@open_worker.register
def _(settings: LogSettings, shard: Shard) -> Worker:
    return settings.work
