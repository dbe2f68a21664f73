"""End of a command, whatever ends it: exit status, at most one line, nothing left half-written."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from ..errors import InputError

EXIT_ERROR = 2
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells have it

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SAME_WISH = 3.0
"""Seconds in which another signal is the same wish: a terminal and a launcher both pass on Ctrl-C, and people
press it twice; what is half-written is being removed meanwhile."""


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end. ``number``: which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def end_well(command: Callable[[], int]) -> int:
    """Run a command so that no way of ending it shows a traceback.

    Signals unwind it like an exception, so that files under temporary names go and workers end. What standard
    output cannot show is written with backslashes.

    Returns:
        The exit status: the command's; 2 for an input that cannot be used or a standard output that cannot be
        written, told in one line; 128 + the signal's number; 141, without a word, where nobody reads the
        output any more.

    Raises:
        SystemExit: as the command did.
    """
    _open_standard_streams()
    try:
        with _signals_raised():
            try:
                return command()
            except InputError as error:
                _say(f"error: {error}")
                return EXIT_ERROR
            except KeyboardInterrupt as stop:
                number = signal.Signals(getattr(stop, "number", signal.SIGINT))
                _say("stopped by the user" if number == signal.SIGINT else f"stopped by {number.name}")
                return 128 + number
            finally:
                sys.stdout.flush()
    except OSError as error:
        # Nothing tells whose error it is but another try.
        if not (_fails(sys.stdout, "\n") or _fails(sys.stderr, "\n")):
            raise
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        reason = (error.strerror or str(error)).lower()
        _say(f"error: standard output: cannot be written ({reason}). Give it a place with room.")
        return EXIT_ERROR
    finally:
        _fails(sys.stderr, "")


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP raise ``Stopped``, unless they are ignored (nohup, background)."""
    last = -_SAME_WISH

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        earlier, last = last, time.monotonic()
        if last - earlier >= _SAME_WISH:
            raise Stopped(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_standard_streams() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened gets this number, and what libraries print comes into it.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fails(stream: TextIO, text: str) -> bool:
    """Whether a stream cannot be written; then what it holds is dropped, else Python complains at its end."""
    try:
        print(text, end="", file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return True
    return False


def _say(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr)
