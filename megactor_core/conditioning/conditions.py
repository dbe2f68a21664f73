"""Everything the denoiser is told about a clip, ready for sampling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Condition = TypeVar("Condition", bound=Any)


def moved(condition: Condition, device: torch.device, dtype: torch.dtype | None = None) -> Condition:
    """One of the conditions below on a device and, if given, in a floating-point type."""
    tensors = {name: tensor.to(device, dtype) for name, tensor in vars(condition).items()}
    return replace(condition, **tensors)


@dataclass(frozen=True)
class ReferenceCondition:
    """The still portrait.

    Attributes:
        latents: scaled posterior mean for the reference network, ``(1, channels, h, w)``.
        static_channels: what joins the noisy latent in every frame, ``(1, channels, 1, h, w)``: the
            concatenated reference latent, then the background mask (1 = background).
        modulation: scale and shift for the encoder of driving frames, ``(1, 2 * width)``.
    """

    latents: Tensor
    static_channels: Tensor
    modulation: Tensor


@dataclass(frozen=True)
class BackgroundCondition:
    """Tokens of the background picture, ``(1, tokens, cross_attention_dim)``."""

    tokens: Tensor


@dataclass(frozen=True)
class DrivingFeatures:
    """Driving frames encoded without the portrait, ``(frames, width, h, w)``.

    Another portrait modulates the same features; ``conditioning.driving.modulate_driving`` does it.
    """

    features: Tensor

    @property
    def num_frames(self) -> int:
        return self.features.shape[0]


@dataclass(frozen=True)
class DrivingCondition:
    """Encoded driving frames, ``(1, channels, frames, h, w)``."""

    features: Tensor

    @property
    def num_frames(self) -> int:
        return self.features.shape[2]


@dataclass(frozen=True)
class Conditions:
    """The three together."""

    reference: ReferenceCondition
    background: BackgroundCondition
    driving: DrivingCondition

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditions:
        """The same on a device and in a floating-point type."""
        return Conditions(
            reference=moved(self.reference, device, dtype),
            background=moved(self.background, device, dtype),
            driving=moved(self.driving, device, dtype),
        )

    def static_channels(self, indices: list[int]) -> Tensor:
        """Channels that follow the noisy latent for some frames, ``(1, channels, len(indices), h, w)``."""
        driving = self.driving.features[:, :, indices]
        constant = self.reference.static_channels.expand(-1, -1, len(indices), -1, -1)
        return torch.cat([constant, driving], dim=1)
