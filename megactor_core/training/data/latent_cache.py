"""Batches whose latents are computed once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
    """

    def __init__(self, dataset: Dataset[Batch], folder: Path, count: int) -> None:
        self.dataset, self.folder, self.count = dataset, folder, count

    def __getitem__(self, index: int) -> Batch:
        index %= self.count
        path = self._path(index)
        return load_file(path) if path.is_file() else {**self.dataset[index], "cache_index": index}

    def store(self, batch: Batch, latents: Mapping[str, Tensor], replaced: tuple[str, ...]) -> None:
        """Keep a batch with its latents, without what they replace."""
        kept = {n: v for n, v in batch.items() if isinstance(v, Tensor) and n not in replaced}
        tensors = {n: v.cpu().contiguous() for n, v in {**kept, **latents}.items()}
        write_tensors(self._path(batch["cache_index"]), tensors)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.safetensors"
