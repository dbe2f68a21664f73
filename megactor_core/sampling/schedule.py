"""Noise schedules: their formulas, and diffusers' schedulers, which take sampling's steps on them."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import diffusers
import torch
from torch import Tensor

from .. import limits
from ..errors import InputError
from ..models.conditions import Conditions
from ..models.config import ModelConfig, SchedulerConfig

LAST_TIMESTEP = limits.STEPS - 1
"""Where sampling begins. Timesteps are counted from 0, hardly any noise, whatever the schedule."""


class Schedule(Protocol):
    """Formulas of a noise schedule: how clean latents, noise and prediction follow from each other.

    Latents, noise and predictions are ``(rows, channels, frames, h, w)`` of one floating-point type.
    ``timesteps`` are one for all, ``()`` or ``(1,)``, one per row ``(rows,)``, or one per frame
    ``(rows, frames)``; equal ones give the bits of a single one. Fractions are cut off.

    Attributes:
        prediction_type: what the model predicts, in diffusers' words.
    """

    prediction_type: str

    def noisy(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents of clean ones."""

    def target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Prediction target for ``noisy(clean, noise, timesteps)``."""

    def clean(self, noisy: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """Clean latents as a prediction sees them in noisy ones."""

    def noise(self, noisy: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """Noise in noisy latents, given the clean ones."""

    def prediction(self, noisy: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """Inverse of ``clean``: the prediction that sees these clean latents in noisy ones."""

    def renoise(self, noisy: Tensor, clean: Tensor, timesteps: Tensor, to: Tensor) -> Tensor:
        """Noisy latents brought to the timesteps ``to``, with the noise they have around clean ones."""

    def start(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Latents at the last timestep, of unit variance; its factors are of double precision."""

    def error_scale(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        """Factor from an error of the prediction to that of the clean latents; broadcasts over latents."""

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        """Ratio of the variances of signal and noise, float32 in the timesteps' shape."""


class DDPMSchedule:
    """``Schedule`` whose noisy latents are ``sqrt(a) * clean + sqrt(1 - a) * noise`` (Ho et al. 2020).

    Args:
        alphas_cumprod: ``a`` of every timestep.
        prediction_type: ``"epsilon"``, the noise, or ``"v_prediction"``, the velocity
            ``sqrt(a) * noise - sqrt(1 - a) * clean`` (Salimans & Ho 2022).
    """

    def __init__(self, alphas_cumprod: Tensor, prediction_type: str) -> None:
        self.alphas_cumprod, self.prediction_type = alphas_cumprod, prediction_type

    def noisy(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        signal, deviation = self._sizes(clean, timesteps)
        return signal * clean + deviation * noise

    def target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction_type == "epsilon":
            return noise
        signal, deviation = self._sizes(clean, timesteps)
        return signal * noise - deviation * clean

    def clean(self, noisy: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        signal, deviation = self._sizes(noisy, timesteps)
        if self.prediction_type == "epsilon":
            return (noisy - deviation * prediction) / signal
        return signal * noisy - deviation * prediction

    def noise(self, noisy: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        signal, deviation = self._sizes(noisy, timesteps)
        return (noisy - signal * clean) / deviation

    def prediction(self, noisy: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        if self.prediction_type == "epsilon":
            return self.noise(noisy, clean, timesteps)
        signal, deviation = self._sizes(noisy, timesteps)
        return (signal * noisy - clean) / deviation

    def renoise(self, noisy: Tensor, clean: Tensor, timesteps: Tensor, to: Tensor) -> Tensor:
        return self.noisy(clean, self.noise(noisy, clean, timesteps), to)

    def start(self, clean: Tensor, noise: Tensor) -> Tensor:
        remaining = float(self.alphas_cumprod[-1])
        return remaining**0.5 * clean + (1 - remaining) ** 0.5 * noise

    def error_scale(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        signal, deviation = self._sizes(latents, timesteps)
        return deviation / signal if self.prediction_type == "epsilon" else deviation

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        alphas = self.alphas_cumprod.to(timesteps.device)[timesteps.long()]
        return alphas / (1 - alphas)

    def _sizes(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Sizes of signal and noise, in a shape and a type that multiply latents."""
        alphas = self.alphas_cumprod.to(latents)[timesteps.long()]
        if alphas.ndim == 2:
            alphas = alphas[:, None]
        alphas = alphas.reshape(*alphas.shape, *[1] * (latents.ndim - alphas.ndim))
        return alphas.sqrt(), (1 - alphas).sqrt()


def build_schedule(config: SchedulerConfig) -> Schedule:
    """The formulas of a model's noise schedule."""
    return schedule_of(build_scheduler("ddim", config))


def schedule_of(scheduler: Any) -> Schedule:
    """The formulas of the schedule that a diffusers scheduler steps on; some lift a last ``a`` of zero."""
    return DDPMSchedule(scheduler.alphas_cumprod, scheduler.config.prediction_type)


SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {"clip_sample": False}),
    "tcd": ("TCDScheduler", {"clip_sample": False}),
}
"""User's name -> diffusers class and what differs from its defaults. ``ddim`` (eta 0) is MegActor's own."""

FEW_STEPS = ("lcm", "tcd")
"""Samplers of models that were distilled."""


def build_scheduler(name: str, config: SchedulerConfig) -> Any:
    """A fresh diffusers scheduler of the model's noise schedule.

    Raises:
        InputError: unknown name.
    """
    if name not in SCHEDULERS:
        raise InputError(f"scheduler {name!r}", "is not known", f"choose one of {', '.join(SCHEDULERS)}")
    class_name, changes = SCHEDULERS[name]
    scheduler_class = getattr(diffusers, class_name)
    options = {**dataclasses.asdict(config), **changes}
    known = set(scheduler_class._get_init_keys(scheduler_class))
    return scheduler_class(
        num_train_timesteps=limits.STEPS, **{k: v for k, v in options.items() if k in known}
    )


def set_timesteps(scheduler: Any, config: SchedulerConfig, steps: int) -> None:
    """Choose the timesteps for a number of steps, each lower than the one before.

    With the stride rule, DDIM takes every ``1000 // steps``-th timestep from 1 on, some more than asked for;
    the other schedulers take as many steps, spaced in their own way.

    Raises:
        InputError: the scheduler does not have so many steps.
    """
    total = scheduler.config.num_train_timesteps
    try:
        if config.step_rule == "count":
            scheduler.set_timesteps(steps)
        else:
            timesteps = range(1, total, total // min(steps, total))
            if isinstance(scheduler, diffusers.DDIMScheduler):
                scheduler.set_timesteps(min(steps, total))
                scheduler.timesteps = torch.tensor(timesteps[::-1])
            else:
                scheduler.set_timesteps(len(timesteps))
    except ValueError as error:
        raise _too_many(scheduler, steps) from error
    chosen = scheduler.timesteps
    # Beyond what they have, diffusers' schedulers repeat timesteps, or leave the noise schedule.
    if not 0 <= chosen[-1] <= chosen[0] < total or (chosen[1:] >= chosen[:-1]).any():
        raise _too_many(scheduler, steps)


def _too_many(scheduler: Any, steps: int) -> InputError:
    name = next(name for name, (kind, _) in SCHEDULERS.items() if kind == type(scheduler).__name__)
    problem = f"are more than the scheduler {name} has for this model"
    return InputError(f"steps {steps}", problem, "Use fewer: 10 to 50 do")


def blend_start(noise: Tensor, conditions: Conditions, config: ModelConfig) -> Tensor:
    """Start latents of a clip, of unit variance.

    Args:
        noise: ``(1, channels, frames, h, w)``.
        conditions: whose start latents, or else whose first reference, the noise is blended with where the
            model starts from these (MegActor-Sigma, X-Portrait).
        config: of the model.

    Returns:
        Like ``noise``, on its device.
    """
    if config.start == "noise":
        return noise
    clean = conditions.reference.latents[:1, :, None]
    if conditions.start is not None:
        clean = conditions.start.latents
    return build_schedule(config.inference_scheduler).start(clean.to(noise), noise)
