"""Timesteps, noise and targets of diffusion training."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.config import SchedulerConfig
from ...sampling.schedule import build_scheduler
from ..distributed import Processes

LAST_TIMESTEP = 999


def draw_timesteps(count: int, power: float, generator: torch.Generator) -> Tensor:
    """Timesteps (count,), int64 in [0, 1000): ``floor(1000 u^(1/power))`` with ``u`` uniform."""
    uniform = torch.rand(count, generator=generator)
    return (1000 * uniform ** (1 / power)).long().clamp(max=999)


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


class Noising:
    """Noisy latents and training targets of one noise schedule."""

    def __init__(self, config: SchedulerConfig) -> None:
        self.scheduler = build_scheduler("ddim", config)
        self.prediction_type = config.prediction_type

    def __call__(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents, and what is to be predicted: the noise, or the velocity (Salimans & Ho 2022)."""
        signal, deviation = self._sizes(latents, timesteps)
        noisy = signal * latents + deviation * noise
        return noisy, noise if self.prediction_type == "epsilon" else signal * noise - deviation * latents

    def clean(self, noisy: Tensor, velocity: Tensor, timesteps: Tensor) -> Tensor:
        """The latents that a predicted velocity sees in noisy ones."""
        signal, deviation = self._sizes(noisy, timesteps)
        return signal * noisy - deviation * velocity

    def noise(self, noisy: Tensor, guess: Tensor, timesteps: Tensor) -> Tensor:
        """What is noise in noisy latents to one who takes a guess for the clean ones."""
        signal, deviation = self._sizes(noisy, timesteps)
        return (noisy - signal * guess) / deviation

    def correction(
        self, latents: Tensor, guess: Tensor, noise: Tensor, timesteps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What sampling has at ``timesteps`` after a guess, and the velocity that leads to the truth.

        Args:
            latents: true latents (clips, channels, frames, h, w).
            guess: the model's own, or what sampling starts from, at the last timestep.
            noise: that the guess lies in.
            timesteps: (clips,), int64, above 0.

        Returns:
            noisy latents, velocity, and the noise's size (clips, 1, 1, 1, 1): an error of the velocity, times
            that size, is the error of the latents.
        """
        signal, deviation = self._sizes(latents, timesteps)
        noisy = signal * guess + deviation * noise
        return noisy, (signal * noisy - latents) / deviation, deviation

    def min_snr_weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Weights of the squared errors of clips ``(clips,)`` (Hang et al. 2023, "Min-SNR weighting").

        With a predicted velocity the last timestep of a schedule without terminal signal weighs nothing.
        """
        alphas = self.scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
        ratio = alphas / (1 - alphas)
        if self.prediction_type == "epsilon":
            return (gamma / ratio).clamp(max=1)
        return ratio.clamp(max=gamma) / (ratio + 1)

    def _sizes(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Sizes of signal and noise, each (clips, 1, 1, 1, 1)."""
        alphas = self.scheduler.alphas_cumprod.to(latents)[timesteps].view(-1, *[1] * (latents.ndim - 1))
        return alphas.sqrt(), (1 - alphas).sqrt()


def prediction_error(
    difference: Tensor, weights: Tensor, change_weight: float, processes: Processes | None = None
) -> Tensor:
    """Mean squared error, and that of the changes from frame to frame.

    An error that stays is hardly seen; one that changes flickers.

    Args:
        difference: prediction minus target, (clips, channels, frames, h, w).
        weights: (clips, frames, h, w); their size does not matter.
        change_weight: weight of the changes; 0 leaves them out.
        processes: that share the clips; the mean of their results is the whole batch's.

    Returns:
        a scalar.
    """
    mean = (processes or Processes()).mean
    weights = weights[:, None]
    error = (difference.square() * weights).mean() / mean(weights.mean())
    if not change_weight:
        return error
    later = weights[:, :, 1:]
    return error + change_weight * (difference.diff(dim=2).square() * later).mean() / mean(later.mean())
