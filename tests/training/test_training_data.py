"""Batches come in order, and what goes wrong in a worker that prepares them is told in one line."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
import torch
from torch.utils.data import Dataset

from megactor_core.errors import InputError
from megactor_core.training.data.loader import batches


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


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_order_from_any_first_one(num_workers):
    stream = batches(Items("none"), 1, 4, num_workers, pin=False)
    assert [int(batch["index"]) for batch in stream] == [1, 2, 3]


def test_nobody_works_on_for_a_stream_that_was_closed():
    stream = batches(Items("none"), 0, 1000, 1, pin=False)
    next(stream)
    assert psutil.Process().children()
    stream.close()
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("trouble", "told"), [("refused", r"shard 7: is empty\. Look at it\."), ("killed", r"worker \(pid")]
)
def test_trouble_in_a_worker_is_told(trouble, told):
    with pytest.raises(InputError, match=f"data: a batch could not be prepared: .*{told}"):
        list(batches(Items(trouble), 1, 4, 1, pin=False))
