"""Kill a training run that is at work, with all its processes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil


def kill_after_a_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    """Kill the run in ``folder``, whose output goes to pipes, as soon as it has written a checkpoint."""
    while not list((folder / "checkpoints").glob("step_*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    parent = psutil.Process(process.pid)
    for one in [*parent.children(recursive=True), parent]:
        one.kill()
    process.communicate()
    assert not (folder / "model").exists(), "the run was to be killed in the middle"
