"""Objective of diffusion: the error of the predicted noise or velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.conditions import Conditions
from ...models.networks import Networks
from ...sampling.schedule import LAST_TIMESTEP, Schedule
from ..config.tasks import DenoiserTaskConfig
from ..distributed import ProcessGroup
from .losses import min_snr_weights, prediction_error
from .prediction import predict_clips
from .prepared import PreparedClips, last_timesteps


def diffusion_error(
    config: DenoiserTaskConfig,
    schedule: Schedule,
    networks: Networks,
    clips: PreparedClips,
    processes: ProcessGroup,
    *,
    from_reference: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared error of the prediction, and scalars for the log.

    Args:
        config: of the task.
        schedule: of training.
        networks: of the model.
        clips: of this process.
        processes: that share the batch.
        from_reference: whether clips may be on their way from the reference, where sampling starts from it.
    """
    draws, latents, conditions = clips.draws, clips.latents, clips.conditions
    timesteps, noise = draws.timesteps.to(latents.device), draws.noise.to(latents.device)
    later = timesteps < LAST_TIMESTEP
    start_noise = torch.where(later, config.start_noise_scale, 1.0).view(-1, 1, 1, 1, 1) * noise
    start = clips.start(schedule, start_noise, from_reference)
    noisy, target = schedule.noisy(latents, noise, timesteps), schedule.target(latents, noise, timesteps)
    sizes = torch.ones_like(noisy[:, :1, :1, :1, :1])
    if from_reference:
        moves = draws.from_reference.to(latents.device).view(sizes.shape)
        noisy = torch.where(moves, schedule.renoise(start, latents, last_timesteps(start), timesteps), noisy)
        target = torch.where(moves, schedule.prediction(noisy, latents, timesteps), target)
        sizes = torch.where(moves, schedule.error_scale(noisy, timesteps), sizes)
    if config.min_snr_gamma:
        weights = min_snr_weights(schedule, timesteps, config.min_snr_gamma)
        sizes = sizes * weights.sqrt().view(sizes.shape)
    if draws.joins_start:
        rows = later.nonzero().flatten()
        taken = rows if len(rows) else torch.zeros(1, dtype=torch.int64, device=latents.device)
        own, motion = conditions.of_rows(taken), config.motion_modules
        after_start = _after_first_step(networks, schedule, start[taken], own, timesteps[taken], motion)
        noisy[rows] = after_start[: len(rows)]
        target[rows] = schedule.prediction(noisy[rows], latents[rows], timesteps[rows])
        sizes[rows] = schedule.error_scale(noisy[rows], timesteps[rows])
    prediction = predict_clips(
        networks,
        conditions,
        noisy,
        timesteps,
        watch=clips.watch,
        reads=draws.kept.reference,
        joins=draws.joins_reading,
        motion=config.motion_modules,
        regions=clips.regions,
    )
    difference = (prediction.float() - target) * sizes
    loss = prediction_error(difference, clips.weights, config.change_weight, processes)
    scalars = {"mse": difference.detach().square().mean()}
    if clips.watch is not None:
        loss = loss + config.correspondence_weight * clips.watch.error
        scalars["correspondence"] = clips.watch.error.detach()
    return loss, scalars


@torch.no_grad()
def _after_first_step(
    networks: Networks,
    schedule: Schedule,
    start: Tensor,
    conditions: Conditions,
    timesteps: Tensor,
    motion: bool,
) -> Tensor:
    """Latents at ``timesteps`` if sampling's first step leads there (R, C, F, h, w)."""
    last = last_timesteps(start)
    velocity = predict_clips(networks, conditions, start, last, motion=motion).float()
    guess = schedule.clean(start, velocity, last)
    return schedule.renoise(start, guess, last, timesteps)
