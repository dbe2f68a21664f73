"""Timesteps, noise and errors of diffusion training."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import limits
from ...sampling.schedule import LAST_TIMESTEP, Schedule
from ..distributed import ProcessGroup


def draw_timesteps(count: int, power: float, generator: torch.Generator) -> Tensor:
    """Timesteps (count,), int64 in [0, 1000): ``floor(1000 u^(1/power))`` with ``u`` uniform."""
    uniform = torch.rand(count, generator=generator)
    return (limits.STEPS * uniform ** (1 / power)).long().clamp(max=LAST_TIMESTEP)


def draw_noise(
    shape: tuple[int, ...], shared_noise: float, offset_noise: float, generator: torch.Generator
) -> Tensor:
    """Noise of clips ``(clips, channels, frames, h, w)``.

    Args:
        shape: as above.
        shared_noise: share of the unit variance common to all frames ("mixed noise", Ge et al. 2023, PYoCo).
        offset_noise: deviation of what is added per clip and channel (MegActor's training code: 0.1).
        generator: on the CPU.
    """
    clips, channels, _, height, width = shape
    noise = torch.randn(shape, generator=generator) * (1 - shared_noise) ** 0.5
    if shared_noise:
        noise += torch.randn(clips, channels, 1, height, width, generator=generator) * shared_noise**0.5
    return noise + offset_noise * torch.randn(clips, channels, 1, 1, 1, generator=generator)


def start_some(
    timesteps: Tensor, noise: Tensor, share: float, scale: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Let some clips be what sampling starts from: the last timestep, and noise of its start's size.

    Args:
        timesteps: (clips,), int64.
        noise: (clips, channels, frames, h, w).
        share: probability of a clip to be one of them.
        scale: ``noise_scale`` of sampling.
        generator: on the CPU.

    Returns:
        timesteps and noise, with these clips replaced.
    """
    chosen = torch.rand(len(timesteps), generator=generator) < share
    sizes = torch.where(chosen, scale, 1.0).view(-1, *[1] * (noise.ndim - 1))
    return torch.where(chosen, LAST_TIMESTEP, timesteps), noise * sizes


def min_snr_weights(schedule: Schedule, timesteps: Tensor, gamma: float) -> Tensor:
    """Weights of the squared errors of clips ``(clips,)`` (Hang et al. 2023, "Min-SNR weighting").

    With a predicted velocity the last timestep of a schedule without terminal signal weighs nothing.
    """
    ratio = schedule.signal_to_noise(timesteps)
    if schedule.prediction_type == "epsilon":
        return (gamma / ratio).clamp(max=1)
    return ratio.clamp(max=gamma) / (ratio + 1)


def prediction_error(
    difference: Tensor, weights: Tensor, change_weight: float, processes: ProcessGroup | None = None
) -> Tensor:
    """Mean squared error, and that of the changes from frame to frame.

    An error that stays is hardly seen; one that changes flickers.

    Args:
        difference: prediction minus target, (clips, channels, frames, h, w).
        weights: (clips, frames, h, w); their size does not matter. Where all are 0 there is no error.
        change_weight: weight of the changes; 0 leaves them out.
        processes: that share the clips; the mean of their results is the whole batch's.

    Returns:
        a scalar.
    """

    def mean(values: Tensor) -> Tensor:
        return (processes or ProcessGroup()).mean(values.mean()).clamp(min=torch.finfo(values.dtype).tiny)

    weights = weights[:, None]
    error = (difference.square() * weights).mean() / mean(weights)
    if not change_weight:
        return error
    later = weights[:, :, 1:]
    return error + change_weight * (difference.diff(dim=2).square() * later).mean() / mean(later)
