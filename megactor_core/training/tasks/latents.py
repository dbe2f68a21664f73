"""Latents of the clips of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from ...models.config import LatentSpace
from ...weights.saving import write_tensors
from ..data.loader import Batch
from ..data.pictures import to_signed
from .base import StepContext
from .draws import posterior_noise

_TOGETHER = 1 << 20
"""Pixels that are encoded at a time: the first layers are wide."""


@torch.no_grad()
def encode_clips(
    vae: AutoencoderKL, references: Tensor, targets: Tensor, context: StepContext, sampled: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled latents, float32, of targets, of references for their network, and of references for the input.

    Args:
        vae: the autoencoder.
        references: (R, 3, S, S) in [-1, 1].
        targets: uint8 (R, F, 3, S, S).
        context: of the batch; tells the random numbers.
        sampled: whether targets and references for the input are samples of the posterior, as in MegActor's
            public code, or its means. Those for the network are always means.

    Returns:
        (R, C, F, h, w), (R, C, h, w) and (R, C, h, w).
    """
    count, frames = targets.shape[:2]
    pictures = torch.cat([references, to_signed(targets.flatten(0, 1))])
    together = max(1, _TOGETHER // pictures[0, 0].numel())
    posteriors = [vae.encode(part).latent_dist for part in pictures.split(together)]
    mean = torch.cat([posterior.mean for posterior in posteriors]).float()
    drawn = mean
    if sampled:
        noise = posterior_noise(mean.shape, frames, context.processes, context.generator).to(mean)
        drawn = mean + torch.cat([posterior.std for posterior in posteriors]).float() * noise
    scaled = LatentSpace.of(vae.config).scaled
    latents = scaled(drawn[count:]).unflatten(0, (count, frames)).transpose(1, 2)
    return latents, scaled(mean[:count]), scaled(drawn[:count])


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
