"""Animates a puppet with a model, and passes frames through its autoencoder."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ...animator import Animator
from ...conditioning.background import encode_context
from ...conditioning.driving import encode_driving
from ...models.conditions import Conditions
from ...puppets.motion import FloatArray
from ...sampling.sampler import SamplingSettings
from ...vision.crops import whole_crop
from ...vision.portrait import Portrait

Images = NDArray[np.uint8]


class Still(Protocol):
    """A square picture with the mask of its person, such as a ``PuppetFrame``."""

    @property
    def image(self) -> Images:
        """uint8 (S, S, 3) RGB."""

    @property
    def mask(self) -> FloatArray:
        """float32 (S, S), 1 on the person."""


class PuppetAnimation:
    """One puppet, or other picture, as the portrait of a model; encoded once, driven any number of times.

    Args:
        animator: with the model.
        reference: the portrait with its exact mask.
        settings: how clips are sampled.
    """

    def __init__(self, animator: Animator, reference: Still, settings: SamplingSettings) -> None:
        self.animator, self.settings = animator, settings
        image, mask = reference.image, reference.mask
        crop = whole_crop(image.shape[:2], len(image))
        portrait = Portrait(image, crop, image.astype(np.float32), image, mask, None)
        self.reference = animator.encode_reference(portrait, settings.seed)
        self.background = encode_context(animator.model.networks, image, mask)

    def drive(self, frames: Images) -> Images:
        """Animated frames uint8 (F, S, S, 3) for grey driving frames uint8 (F, S, S)."""
        encoder = self.animator.model.networks.denoiser.driving_encoder
        assert encoder is not None
        driving = encode_driving(encoder, frames, self.reference.modulation)
        conditions = Conditions(self.reference, self.background, driving)
        latents = self.animator.sample(conditions, self.settings)
        return np.stack(list(self.animator.decode(latents)))


def autoencode(animator: Animator, frames: Images) -> Images:
    """Frames uint8 (F, S, S, 3) through the VAE and back (posterior mean): what no animation can better."""
    latents = torch.stack([animator.encode_latents(frame) for frame in frames], dim=2)
    return np.stack(list(animator.decode(latents)))
