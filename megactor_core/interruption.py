"""Signals that ask a run to stop: as a wish that the loop reads between two steps, and kept from workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_OF_TERMINALS = {getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)}
"""Sent to every process of a command at once."""


class StopRequest:
    """Inside the ``with`` block ``requested`` turns true on the first SIGINT, SIGTERM or SIGHUP.

    A second one is passed on: Ctrl-C again ends the program at once. Signals that were ignored stay so.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for kind in (*_OF_TERMINALS, signal.SIGTERM):
            if signal.getsignal(kind) != signal.SIG_IGN:
                self._before[kind] = signal.signal(kind, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        handler = self._before[number]
        if self.requested and callable(handler):
            handler(number, frame)
        elif self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def kept_from_workers() -> Iterator[None]:
    """Processes started inside never get what a terminal sends to all of a command's processes.

    Their parent ends them: a worker that is still importing would answer Ctrl-C with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
