"""What an animation asks of whoever holds the networks, and the core's own answer to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..conditioning.background import encode_context
from ..conditioning.posterior import encode_posterior
from ..conditioning.reference import sample_posterior
from ..models.audio_encoder import SpeechEncoder
from ..models.conditions import BackgroundCondition, ReferenceCondition
from ..models.config import ModelConfig
from ..models.denoiser import Denoiser, HintReader
from ..sampling.decode import decode_latents, to_uint8
from ..sampling.sampler import SamplingNetworks, SamplingSettings
from ..vision.portrait import Portrait
from ..weights.loading import LoadedModel
from .memory import check_memory


class Backend(Protocol):
    """The networks of a model, wherever they are kept.

    They differ in four things: how a picture is encoded, how latents are decoded, how a network comes to its
    device, and whether memory has to be watched.
    """

    @property
    def config(self) -> ModelConfig: ...

    @property
    def device(self) -> torch.device:
        """Device on which the networks compute."""

    @property
    def dtype(self) -> torch.dtype:
        """The type that they compute in."""

    def encode_picture(
        self, picture: NDArray[np.floating] | NDArray[np.uint8], seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scaled latents ``(1, channels, h, w)`` of a square picture (S, S, 3), 0..255.

        Returns:
            The mean of the VAE's posterior, and a sample of it by the seed; without a seed the mean twice.
        """

    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        """Context tokens: of the portrait with the person blacked out, or the model's constant ones."""

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of a clip, uint8 (S, S, 3); see ``sampling.decode.decode_frames``."""

    def denoiser(self, size: int = 0) -> Denoiser:
        """The denoiser on its device, with room to encode a chunk of driving frames of a size in pixels."""

    def controls(self, size: int) -> Mapping[str, HintReader]:
        """The ControlNets on their device, with room for a chunk of hints; empty where there are none."""

    def audio_encoder(self) -> SpeechEncoder | None:
        """The encoder of sound on its device; None where the model hears nothing."""

    def sampling_networks(
        self, reference: ReferenceCondition, num_frames: int, settings: SamplingSettings
    ) -> SamplingNetworks:
        """Everything that sampling runs, on its device, with room for a window."""

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        """Raises InputError where a clip needs more memory than there is."""


class CoreBackend:
    """The core's own networks, which are where they compute from the beginning.

    Args:
        model: config and networks.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.config = model.config

    @property
    def device(self) -> torch.device:
        return self.model.networks.denoiser.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.networks.denoiser.compute_dtype

    def encode_picture(
        self, picture: NDArray[np.floating] | NDArray[np.uint8], seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        scaled = self.config.latent_space.scaled
        mean, deviation = encode_posterior(self.model.networks.vae, picture.astype(np.uint8))
        concatenated = mean if seed is None else sample_posterior(mean, deviation, seed)
        return scaled(mean), scaled(concatenated)

    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        return encode_context(self.model.networks, portrait.picture, portrait.foreground)

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        return (to_uint8(frame) for frame in decode_latents(self.model.networks.vae, latents, on_note))

    def denoiser(self, size: int = 0) -> Denoiser:
        return self.model.networks.denoiser

    def controls(self, size: int) -> Mapping[str, HintReader]:
        return self.model.networks.controls

    def audio_encoder(self) -> SpeechEncoder | None:
        return self.model.networks.audio_encoder

    def sampling_networks(
        self, reference: ReferenceCondition, num_frames: int, settings: SamplingSettings
    ) -> SamplingNetworks:
        return self.model.networks

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        check_memory(
            self.config,
            settings,
            size,
            num_frames,
            device=self.device,
            dtype=self.dtype,
            weights_loaded=True,
        )
