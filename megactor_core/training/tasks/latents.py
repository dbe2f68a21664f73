"""Latents of the clips of a batch."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from ...models.config import LatentSpace
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
