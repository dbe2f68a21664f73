"""diffusers' schedulers, set up from a model's noise schedule."""

from __future__ import annotations

import dataclasses
from typing import Any

import diffusers
import torch
from torch import Tensor

from ..errors import InputError
from ..models.conditions import Conditions
from ..models.config import ModelConfig, SchedulerConfig

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {"clip_sample": False}),
}
"""User's name -> diffusers class and what differs from its defaults. ``ddim`` (eta 0) is MegActor's own."""


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
    return scheduler_class(num_train_timesteps=1000, **{k: v for k, v in options.items() if k in known})


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
    remaining = float(build_scheduler("ddim", config.inference_scheduler).alphas_cumprod[-1])
    return remaining**0.5 * clean.to(noise) + (1 - remaining) ** 0.5 * noise
