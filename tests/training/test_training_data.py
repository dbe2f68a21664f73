"""What goes wrong in a worker that prepares batches is told in one line."""

from __future__ import annotations

import os
import signal

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


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_come_in_order_from_any_first_one(num_workers):
    stream = batches(Items(""), 5, 9, num_workers, pin=False)
    assert [int(batch["index"]) for batch in stream] == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("refused", r"shard 7: is empty\. Look at it"),
        ("killed", r"worker .*(killed by signal|exited unexpectedly)"),
    ],
)
def test_trouble_in_a_worker_is_told(trouble, told):
    stream = batches(Items(trouble), 0, 4, 1, pin=False)
    with pytest.raises(InputError, match=f"data: a batch could not be prepared: .*{told}"):
        list(stream)
