"""Commands that a user types, here or in a process of their own that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from megactor_core.cli.main import main

ROOT = Path(__file__).parents[2]
TWO_PROCESSES = (
    *("-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/ddp.yaml"),
    *("--main_process_port", "0", "--num_processes", "2"),
)
"""What starts a training in two processes on this machine."""


def run(*arguments: object) -> None:
    """Run a command that must end well."""
    assert main([str(argument) for argument in arguments]) == 0, arguments


def train(config: Path, output: Path, *launcher: str) -> subprocess.Popen[str]:
    """Start a training in a process of its own."""
    command = [*launcher, "-m", "megactor_core", "train", "--config", str(config), "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str], output: Path) -> Path:
    """Wait for the end of a training; returns its model."""
    printed, errors = process.communicate(timeout=240)
    assert printed == f"{output / 'model'}\n", errors
    return output / "model"


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
