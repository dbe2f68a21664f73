"""Batches whose latents are computed once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from ...weights.saving import write_tensors
from .loader import Batch


class LatentCache(Dataset[Batch]):
    """The first ``count`` batches of a dataset, over and over.

    A batch that was stored comes from its file; any other is made by the dataset and carries ``cache_index``,
    under which the training process stores it. Which of the two happened makes no difference to the result.

    Args:
        dataset: makes batches by index.
        folder: one safetensors file per batch; belongs to one run.
        count: batches until they recur.
        on_device: whether the training process keeps stored batches where it computes; then of a stored one
            the dataset gives its ``cache_index`` alone.
    """

    def __init__(self, dataset: Dataset[Batch], folder: Path, count: int, on_device: bool = False) -> None:
        self.dataset, self.folder, self.count, self.on_device = dataset, folder, count, on_device
        self._held: dict[int, dict[str, Tensor]] = {}

    def __getitem__(self, index: int) -> Batch:
        index %= self.count
        path = self._path(index)
        if not path.is_file():
            return {**self.dataset[index], "cache_index": index}
        return {"cache_index": index} if self.on_device else load_file(path)

    def whole(self, batch: Batch, device: torch.device) -> Batch:
        """The batch itself, or the one that is held under its index; read once, where a run has gone on."""
        if len(batch) > 1:
            return batch
        index = batch["cache_index"]
        if index not in self._held:
            self._held[index] = load_file(self._path(index), device=str(device))
        return self._held[index]

    def store(self, batch: Batch, latents: Mapping[str, Tensor], replaced: tuple[str, ...]) -> None:
        """Keep a batch with its latents, without what they replace."""
        kept = {n: v for n, v in batch.items() if isinstance(v, Tensor) and n not in replaced}
        kept |= latents
        if self.on_device:
            self._held[batch["cache_index"]] = {n: v.detach() for n, v in kept.items()}
        tensors = {n: v.cpu().contiguous() for n, v in kept.items()}
        write_tensors(self._path(batch["cache_index"]), tensors)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.safetensors"
