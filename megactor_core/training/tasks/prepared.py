"""Clips of a batch with their conditions and draws: what an objective is computed of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...conditioning.compose import Clips
from ...models.conditions import Conditions
from ...models.config import ModelConfig
from ...models.denoiser import Regions
from ...sampling.schedule import LAST_TIMESTEP, Schedule
from .base import StepContext
from .correspondence import Correspondence
from .draws import ClipDraws
from .losses import draw_noise


@dataclass(frozen=True)
class PreparedClips:
    """Prepared batch: R clips of F frames of one process, on the networks' device.

    Attributes:
        given: what their conditions are composed of.
        conditions: composed with the networks in training.
        latents: scaled and clean, (R, C, F, h, w).
        draws: timesteps, noise and what is dropped.
        weights: of errors, (R, F, h, w).
        regions: parts of the picture that are treated apart.
        watch: measures where attention looks in the reference.
    """

    given: Clips
    conditions: Conditions
    latents: Tensor
    draws: ClipDraws
    weights: Tensor
    regions: Regions
    watch: Correspondence | None

    def start(self, schedule: Schedule, noise: Tensor, from_reference: bool) -> Tensor:
        """Start latents of sampling with this noise (R, C, F, h, w): the noise, or the reference under it."""
        if not from_reference:
            return noise
        return schedule.noisy(self.given.mean[:, :, None], noise, last_timesteps(noise))


def sampling_start(
    model: ModelConfig, schedule: Schedule, clips: PreparedClips, context: StepContext
) -> Tensor:
    """Latents (R, C, F, h, w) that the model's sampling starts with, its noise drawn for the whole batch."""
    whole = len(clips.latents) * context.processes.count
    shape, shared = (whole, *clips.latents.shape[1:]), model.defaults.shared_noise
    noise = draw_noise(shape, shared, 0.0, context.generator)[context.processes.part(whole)]
    noise = noise.to(clips.latents.device) * model.defaults.noise_scale
    return clips.start(schedule, noise, model.start == "reference")


def last_timesteps(latents: Tensor) -> Tensor:
    """The last timestep for each clip."""
    return torch.full((len(latents),), LAST_TIMESTEP, device=latents.device)
