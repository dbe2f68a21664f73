"""Animates a puppet with a model, and passes frames through its autoencoder."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import numpy as np
import torch

from ...animation.encode import encode_audio, encode_driving, encode_hints
from ...animator import Animator
from ...conditioning.amplitude import scale_conditions
from ...media.pictures import Images
from ...media.source import pictures_source
from ...models.conditions import Conditions
from ...motion import Amplitude
from ...puppets.clips import FRAME_RATE
from ...puppets.motion import FloatArray
from ...sampling.sampler import SamplingSettings
from ...vision.crops import whole_crop
from ...vision.driving import PreparedDriving
from ...vision.modes.levels import ShownPlan
from ...vision.modes.mode import DrivingMode
from ...vision.portrait import Portrait
from .drives import Drive


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
        self._crop = whole_crop(image.shape[:2], len(image))
        portrait = Portrait(image, self._crop, image.astype(np.float32), image, mask, None)
        self.reference = animator.encode_reference(portrait, settings.seed)
        self.background = animator.backend.encode_background(portrait)

    def drive(self, drive: Drive, mode: DrivingMode) -> Images:
        """Animated frames uint8 (F, S, S, 3), at 25 a second.

        Args:
            drive: what drives, shown at the portrait's size.
            mode: how it is shown.
        """
        backend = self.animator.backend
        count = len(next(iter(drive.shown.values())))
        black = np.zeros((self._crop.size, self._crop.size, 3), np.uint8)
        source = pictures_source([black] * count, Fraction(FRAME_RATE))  # all is shown already
        driving = PreparedDriving(source, self._crop, mode, ShownPlan(drive.shown), "", False)
        conditions = Conditions(
            self.reference,
            self.background,
            encode_driving(backend, driving, self.reference),
            encode_audio(backend, drive.sound, (drive.start + time for time in driving.times())),
            controls=encode_hints(backend, driving, {}),
        )
        if drive.speech != 1:
            conditions = scale_conditions(conditions, Amplitude(speech=drive.speech))
        latents = self.animator.sample(conditions, self.settings)
        return np.stack(list(self.animator.decode(latents)))


def autoencode(animator: Animator, frames: Images) -> Images:
    """Frames uint8 (F, S, S, 3) through the VAE and back (posterior mean): what no animation can better."""
    latents = torch.stack([animator.encode_latents(frame) for frame in frames], dim=2)
    return np.stack(list(animator.decode(latents)))
