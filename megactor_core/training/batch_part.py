"""One process's part of every batch."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from .task import Batch


class BatchPart(Dataset[Batch]):
    """Entries ``part`` of batches that ``whole`` consecutive items of a dataset make up.

    Only these entries are made, and they are the same however many processes share the batch.

    Args:
        single: batches of one entry each, tensors with a first axis of length 1. What has no axis is a count.
        whole: entries of a batch.
        part: which of them, e.g. ``Processes.part(whole)``.
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
