"""Teacher of a distillation: the model as it was when the training began, guided as in sampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...conditioning.compose import compose
from ...models.config import ModelConfig
from ...models.networks import Networks
from .lora import without_lora
from .prediction import predict_clips
from .prepared import PreparedClips


class Teacher:
    """The model that a student starts as.

    Args:
        model: its configuration.
        networks: in training.
        trained: names of those whose own weights change; the teacher has copies of them. Where there are none
            only the additions of a LoRA are trained, which the teacher goes without.
    """

    def __init__(self, model: ModelConfig, networks: Networks, trained: Iterable[str]) -> None:
        self.model = model
        self._copies: dict[str, Any] = {
            name: deepcopy(networks.module(name)).requires_grad_(False) for name in trained
        }
        self.networks = replace(networks, **self._copies)

    @property
    def modules(self) -> Sequence[nn.Module]:
        """What it has of its own."""
        return [*self._copies.values()]

    @torch.no_grad()
    def predict(
        self, clips: PreparedClips, noisy: Tensor, timesteps: Tensor, guidance: Tensor, motion: bool
    ) -> Tensor:
        """Guided noise or velocity, float32 (R, C, F, h, w).

        Args:
            clips: their conditions are composed once more, with the teacher's networks.
            noisy: (R, C, F, h, w).
            timesteps: (R,).
            guidance: of each clip, (R,).
            motion: let the frames of a clip know of each other.
        """
        networks, kept = self.networks, clips.draws.kept
        with nullcontext() if self._copies else without_lora(networks.module("denoiser")):
            conditions = compose(self.model, networks, clips.given, kept).conditions
            guided = predict_clips(networks, conditions, noisy, timesteps, motion=motion).float()
            if (guidance == 1).all():
                return guided
            none = torch.zeros(len(noisy), dtype=torch.bool)
            encoder = networks.denoiser.driving_encoder
            black = encoder is not None and encoder.black_unconditional
            unguided = replace(
                kept, reference=none, driver=none if black else kept.driver, sound=none, controls={}
            )
            conditions = compose(self.model, networks, clips.given, unguided).conditions
            unconditional = predict_clips(
                networks, conditions, noisy, timesteps, reads=none, joins=False, motion=motion
            ).float()
        return torch.lerp(unconditional, guided, guidance.to(guided).view(-1, 1, 1, 1, 1))
