"""Discriminator of pictures, and the errors by which it and what it judges are trained."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEP = 0.01
"""Size of the noise by which the slope at true pictures is measured, of pixels in [-1, 1]."""


class PatchDiscriminator(nn.Module):
    """Scores of overlapping patches: ``(n, 3, H, W)`` in [-1, 1] -> ``(n, 1, H / 8, W / 8)``, more is truer.

    Four convolutions, as in pix2pix (Isola et al. 2017, section 3.2.2), with group instead of batch norm.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for inner, outer in itertools.pairwise(widths):
            layers.append(nn.Conv2d(inner, outer, 4, stride=2, padding=1))
            if inner != 3:
                layers.append(nn.GroupNorm(8, outer))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores."""
        return self.layers(pictures)


def discriminator_error(
    discriminator: PatchDiscriminator, made: Tensor, true: Tensor, noise: Tensor, penalty: float
) -> Tensor:
    """Hinge error of the discriminator, and the penalty of its slope at true pictures.

    The slope of every patch's score is measured along a random direction, by a difference instead of a second
    derivative (Lin et al. 2025, arXiv 2501.08316); the mean of its square is R1 (Mescheder et al. 2018).

    Args:
        discriminator: in training.
        made: pictures (n, 3, H, W) in [-1, 1]; no gradient reaches them.
        true: of the same shape.
        noise: of unit variance, likewise.
        penalty: weight gamma of R1.
    """
    count = len(true)
    scores = discriminator(torch.cat([made.detach(), true, true + _STEP * noise]))
    of_made, of_true, of_noisy = scores.split(count)
    error = F.relu(1 + of_made).mean() + F.relu(1 - of_true).mean()
    slope = (of_noisy - of_true) / _STEP
    return error + penalty / 2 * slope.square().mean()


def deception_error(discriminator: PatchDiscriminator, made: Tensor) -> Tensor:
    """How far pictures are from being taken for true; the discriminator gets no gradient."""
    with _fixed(discriminator):
        return -discriminator(made).mean()


@contextmanager
def _fixed(network: nn.Module) -> Iterator[None]:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
