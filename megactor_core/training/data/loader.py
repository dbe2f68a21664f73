"""Batches for the loop: worker processes, order fixed by the index alone."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ...errors import InputError
from ...interruption import kept_from_workers

Batch = Mapping[str, Any]


def batches(
    dataset: Dataset[Batch], first: int, stop: int, num_workers: int, pin: bool
) -> Generator[Batch, None, None]:
    """Items ``first`` to ``stop - 1`` of the dataset in order, prepared ahead by worker processes.

    Closing it ends the workers.

    Raises:
        InputError: while iterating: an item could not be made, or a worker was killed.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, stop),
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_start_worker,
        # A fork of a process in which OpenMP or FFmpeg have threads may hang.
        multiprocessing_context="spawn" if num_workers else None,
        pin_memory=pin,
    )
    with kept_from_workers():
        iterator = iter(loader)
    try:
        yield from iterator
    except RuntimeError as error:
        # So a worker's own error arrives, its traceback as text, and that a worker has ended.
        raise _not_prepared(str(error).strip().splitlines()[-1]) from error


@contextmanager
def lost_workers_told() -> Iterator[None]:
    """Inside, a worker that was killed is an InputError: torch tells of it in the midst of a step."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _not_prepared(str(error).strip().splitlines()[0]) from error


def _not_prepared(reason: str) -> InputError:
    return InputError(
        "data",
        f"a batch could not be prepared: {reason.removeprefix('megactor_core.errors.InputError: ')}",
        "The same command goes on from the last checkpoint",
    )


def _start_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if hasattr(os, "setsid"):
        # Ctrl-C reaches the whole group; only the parent acts on it, and its end ends the workers.
        os.setsid()


class BatchPart(Dataset[Batch]):
    """Entries ``part`` of batches that ``whole`` consecutive items of a dataset make up.

    Only these entries are made, and they are the same however many processes share the batch.

    Args:
        single: batches of one entry each, tensors with a first axis of length 1. What has no axis is a count.
        whole: entries of a batch.
        part: which of them, e.g. ``ProcessGroup.part(whole)``.
    """

    def __init__(self, single: Dataset[Batch], whole: int, part: slice) -> None:
        self.single, self.whole, self.part = single, whole, part

    def __getitem__(self, index: int) -> Batch:
        entries = [self.single[index * self.whole + i] for i in range(self.whole)[self.part]]
        batch = {}
        for name, first in entries[0].items():
            values = [entry[name] for entry in entries]
            batch[name] = torch.cat(values) if first.ndim else torch.stack(values).sum()
        return batch
