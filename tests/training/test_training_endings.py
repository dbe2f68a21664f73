"""A training whose processes are killed or told to end says so in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest


@pytest.fixture
def running(
    tmp_path: Path, denoiser_data: dict[str, Any], write_yaml: Any
) -> Iterator[subprocess.Popen[str]]:
    """A training in the midst of its steps, with a worker."""
    config = write_yaml({**denoiser_data, "steps": 100_000, "num_workers": 1, "log_interval": 1})
    words = ("train", "--config", config, "--output", tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "megactor_core", *map(str, words)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test that runs in the background may have inherited that the signal is ignored.
        preexec_fn=None if sys.platform == "win32" else lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        start_new_session=True,
    )
    log, deadline = tmp_path / "run" / "log.jsonl", time.monotonic() + 90
    while not (log.is_file() and log.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()


def test_a_killed_worker_is_one_line(running: subprocess.Popen[str]) -> None:
    for worker in psutil.Process(running.pid).children(recursive=True):
        if "spawn_main" in " ".join(worker.cmdline()):
            worker.kill()
    out, error = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "") and "Traceback" not in error
    assert error.splitlines()[-1].startswith("error: data: a batch could not be prepared: DataLoader worker")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_closed_terminal_ends_it_as_ctrl_c_does(running: subprocess.Popen[str], tmp_path: Path) -> None:
    workers = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGHUP)
    out, error = running.communicate(timeout=60)
    assert running.returncode == 0 and out.startswith("stopped after step ") and "Traceback" not in error
    assert any((tmp_path / "run" / "checkpoints").iterdir())
    assert not psutil.wait_procs(workers, timeout=10)[1]
