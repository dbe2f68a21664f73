"""Batches come in order, and what goes wrong in a worker that prepares them is told in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import Dataset

from megactor_core.errors import InputError
from megactor_core.training.data import batches


class Items(Dataset):
    """Tensors of their index; item 2 is another matter."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index == 2 and self.trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 2 and self.trouble == "refused":
            raise InputError("shard 7", "is empty", "Look at it")
        return {"index": torch.tensor(index)}


def take(trouble: str, num_workers: int) -> str:
    """What a process of its own says: workers are not forked from all that other tests have loaded."""
    command = [sys.executable, __file__, trouble, str(num_workers)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_order_from_any_first_one(num_workers):
    assert take("none", num_workers) == "[1, 2, 3]\n"


@pytest.mark.parametrize(
    ("trouble", "told"), [("refused", "shard 7: is empty. Look at it."), ("killed", "worker (pid")]
)
def test_trouble_in_a_worker_is_told(trouble, told):
    output = take(trouble, 1)
    assert output.startswith("data: a batch could not be prepared: ") and told in output


if __name__ == "__main__":
    try:
        stream = batches(Items(sys.argv[1]), 1, 4, int(sys.argv[2]), pin=False)
        print([int(batch["index"]) for batch in stream])
    except InputError as error:
        print(error)
