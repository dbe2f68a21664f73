"""Objective of appearance distillation: what is painted in a few steps is compared as a picture."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ...evaluation.measures.lpips import Lpips
from ...models.config import LatentSpace, ModelConfig
from ...models.networks import Networks
from ...sampling.schedule import Schedule, build_schedule, build_scheduler, set_timesteps
from ..config.distillation import AppearanceConfig
from ..config.tasks import DenoiserTaskConfig
from .base import StepContext
from .consistency import Predict
from .discriminator import PatchDiscriminator, deception_error, discriminator_error
from .losses import prediction_error
from .prediction import predict_clips
from .prepared import PreparedClips, sampling_start

_SCALES = 3


class AppearanceObjective:
    """Appearance distillation without a teacher (PersonaLive, CVPR 2026, stage 2).

    A clip is sampled as in use, by LCM's way of predicting and noising again, and stopped after a number of
    steps that is drawn for each batch; gradients flow through the last prediction alone. The true pictures
    are those that the autoencoder makes of the true latents: no others can be painted.

    Args:
        config: of the objective.
        model: what is trained.
        seed: of the discriminator's fresh weights.
    """

    def __init__(self, config: AppearanceConfig, model: ModelConfig, seed: int) -> None:
        self.config, self.model = config, model
        self.schedule = build_schedule(model.inference_scheduler)
        scheduler = build_scheduler("lcm", model.inference_scheduler)
        set_timesteps(scheduler, model.inference_scheduler, config.num_inference_steps)
        self._timesteps: list[int] = scheduler.timesteps.tolist()
        self._unscaled = LatentSpace.of(model.vae).unscaled
        self.discriminator: PatchDiscriminator | None = None
        if config.adversarial_weight:
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(seed)
                self.discriminator = PatchDiscriminator(config.discriminator_width)
        self._lpips = None if config.lpips_weights is None else Lpips(config.lpips_weights)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {} if self.discriminator is None else {"discriminator": self.discriminator}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return () if self._lpips is None else (self._lpips.network,)

    def __call__(
        self, task: DenoiserTaskConfig, networks: Networks, clips: PreparedClips, context: StepContext
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config, processes, generator = self.config, context.processes, context.generator
        latents = clips.latents
        whole = (len(latents) * processes.count, *latents.shape[1:])
        part = processes.part(whole[0])
        count = int(torch.randint(1, len(self._timesteps) + 1, (), generator=generator))

        def noise() -> Tensor:
            return torch.randn(whole, generator=generator)[part].to(latents.device)

        def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return predict_clips(
                networks, clips.conditions, noisy, timesteps, motion=task.motion_modules
            ).float()

        start = sampling_start(self.model, self.schedule, clips, context)
        noises = [noise() for _ in range(count - 1)]
        painted = paint(self.schedule, predict, start, self._timesteps[:count], noises)
        difference = painted - latents
        error = prediction_error(difference, clips.weights, task.change_weight, processes)
        scalars = {"mse": difference.detach().square().mean()}
        loss = config.latent_weight * error
        frames = torch.randint(latents.shape[2], (whole[0],), generator=generator)[part]
        made, true = self._pictures(networks.vae, painted, latents, frames)
        weights = clips.weights[range(len(frames)), frames][:, None]
        terms = self._picture_terms(made, true, weights, context)
        for name, (weight, value) in terms.items():
            loss = loss + weight * value
            scalars[name] = value.detach()
        return loss, scalars

    def _pictures(
        self, vae: AutoencoderKL, painted: Tensor, latents: Tensor, frames: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One frame of each clip, painted and true, (R, 3, H, W), about -1..1."""
        rows = range(len(frames))
        with torch.no_grad():
            true = vae.decode(self._unscaled(latents[rows, :, frames])).sample.float()
        return vae.decode(self._unscaled(painted[rows, :, frames])).sample.float(), true

    def _picture_terms(
        self, made: Tensor, true: Tensor, weights: Tensor, context: StepContext
    ) -> dict[str, tuple[float, Tensor]]:
        """Weights and errors by name; ``weights`` are those of the latents' cells, (R, 1, h, w)."""
        config, processes = self.config, context.processes
        weights = F.interpolate(weights, size=made.shape[-2:])
        weights = weights / processes.mean(weights.mean()).clamp(min=torch.finfo(weights.dtype).tiny)
        terms = {
            "pixels": (config.pixel_weight, ((made - true).square() * weights).mean()),
            "edges": (config.gradient_weight, edge_error(made, true, weights)),
        }
        if self._lpips is not None:
            distances = self._lpips.differentiable(made / 2 + 0.5, true / 2 + 0.5)
            terms["lpips"] = (config.perceptual_weight, distances.mean())
        if self.discriminator is not None:
            whole = (len(made) * processes.count, *made.shape[1:])
            noise = torch.randn(whole, generator=context.generator)[processes.part(whole[0])].to(made)
            judged = discriminator_error(self.discriminator, made, true, noise, config.gradient_penalty)
            heard = context.step >= config.adversarial_start * context.steps
            deceived = deception_error(self.discriminator, made)
            terms["discriminator"] = (1.0, judged)
            terms["deception"] = (config.adversarial_weight if heard else 0.0, deceived)
        return terms


def paint(
    schedule: Schedule, predict: Predict, start: Tensor, timesteps: Sequence[int], noises: Sequence[Tensor]
) -> Tensor:
    """Clean latents after steps of LCM's sampling, with gradients of the last prediction alone.

    Args:
        schedule: of sampling.
        predict: noise or velocity of noisy latents at timesteps of each clip.
        start: latents that sampling starts with, (R, C, F, h, w).
        timesteps: of the steps, the highest first.
        noises: between them, one fewer.
    """

    def seen(noisy: Tensor, timestep: int) -> Tensor:
        at = torch.full((len(noisy),), timestep, device=noisy.device)
        return schedule.clean(noisy, predict(noisy, at), at)

    noisy = start
    with torch.no_grad():
        for (timestep, following), noise in zip(itertools.pairwise(timesteps), noises, strict=True):
            noisy = schedule.noisy(seen(noisy, timestep), noise, torch.tensor(following))
    return seen(noisy, timesteps[-1])


def edge_error(made: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Error of how much neighbouring pixels differ, whatever the sign, at full, half and quarter size.

    Mathieu, Couprie & LeCun 2016, "Deep multi-scale video prediction beyond mean square error", equation 6.
    The mean of what might be, which the squared error asks for, has weak edges.

    Args:
        made, true: pictures (R, 3, H, W).
        weights: (R, 1, H, W).
    """
    total = made.new_zeros(())
    for _ in range(_SCALES):
        for axis in (2, 3):
            error = (made.diff(dim=axis).abs() - true.diff(dim=axis).abs()).abs()
            total = total + (error * weights.narrow(axis, 1, error.shape[axis])).mean()
        made, true, weights = (F.avg_pool2d(value, 2) for value in (made, true, weights))
    return total / _SCALES
