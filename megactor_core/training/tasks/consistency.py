"""Objective of latent consistency: two neighbouring points of the teacher's way show the same clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ... import limits
from ...models.config import ModelConfig
from ...models.networks import Networks
from ...sampling.schedule import LAST_TIMESTEP, Schedule, build_schedule
from ..config.distillation import ConsistencyConfig
from ..config.tasks import DenoiserTaskConfig
from ..distributed import ProcessGroup
from .base import StepContext
from .prediction import predict_clips
from .prepared import PreparedClips, sampling_start
from .teacher import Teacher

Predict = Callable[[Tensor, Tensor], Tensor]
"""Noise or velocity of noisy latents (R, C, F, h, w) at timesteps (R,)."""

_DATA_DEVIATION, _TIMESTEP_SCALE = 0.5, 10.0
"""Of diffusers' ``LCMScheduler``, which samples what is trained here."""


class ConsistencyObjective:
    """Consistency distillation of a guided teacher (Luo et al. 2023, "Latent Consistency Models").

    The target is the student's own prediction, not that of an average of its weights (Song & Dhariwal 2024,
    "Improved Techniques for Training Consistency Models", section 3.2).

    Args:
        config: of the objective.
        model: what is trained; the way is that of its sampling, not that of its training.
        teacher: the model as it was.
    """

    def __init__(self, config: ConsistencyConfig, model: ModelConfig, teacher: Teacher) -> None:
        self.config, self.model, self.teacher = config, model, teacher
        self.schedule = build_schedule(model.inference_scheduler)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return self.teacher.modules

    def __call__(
        self, task: DenoiserTaskConfig, networks: Networks, clips: PreparedClips, context: StepContext
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config, schedule, latents = self.config, self.schedule, clips.latents
        processes, generator = context.processes, context.generator
        whole = len(latents) * processes.count
        part, stride = processes.part(whole), limits.STEPS // config.teacher_steps
        passed = torch.randint(config.teacher_steps, (whole,), generator=generator)
        least, most = config.guidance
        guidance = (least + (most - least) * torch.rand(whole, generator=generator))[part]
        timesteps = (LAST_TIMESTEP - stride * passed[part]).to(latents.device)
        # LCM noises what it has seen afresh, wherever the first step came from.
        noisy = schedule.noisy(latents, clips.draws.noise.to(latents.device), timesteps)
        start = sampling_start(self.model, schedule, clips, context)
        noisy = torch.where((timesteps < LAST_TIMESTEP).view(-1, 1, 1, 1, 1), noisy, start)

        def student(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return predict_clips(
                networks, clips.conditions, noisy, timesteps, motion=task.motion_modules
            ).float()

        def teacher(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return self.teacher.predict(clips, noisy, timesteps, guidance, task.motion_modules)

        earlier = (timesteps - stride).clamp(min=0)
        difference = consistency_difference(schedule, student, teacher, noisy, timesteps, earlier)
        return huber_error(difference, clips.weights, config.huber, processes), {
            "mse": difference.detach().square().mean()
        }


def consistency_difference(
    schedule: Schedule, student: Predict, teacher: Predict, noisy: Tensor, timesteps: Tensor, earlier: Tensor
) -> Tensor:
    """Clean latents as the student sees them at a point, less those at the teacher's next point.

    Args:
        schedule: of sampling.
        student: gradients flow through its first prediction alone.
        teacher: takes a step of DDIM from the point to the next.
        noisy: latents at the point, (R, C, F, h, w).
        timesteps: of the point, (R,).
        earlier: of the next one, (R,).
    """
    with torch.no_grad():
        guess = schedule.clean(noisy, teacher(noisy, timesteps), timesteps)
        there = schedule.renoise(noisy, guess, timesteps, earlier)
        there = torch.where((earlier == timesteps).view(-1, 1, 1, 1, 1), noisy, there)
        target = _seen(schedule, student(there, earlier), there, earlier)
    return _seen(schedule, student(noisy, timesteps), noisy, timesteps) - target


def huber_error(difference: Tensor, weights: Tensor, size: float, processes: ProcessGroup) -> Tensor:
    """Weighted mean of the pseudo-Huber errors ``sqrt(d^2 + size^2) - size``.

    Args:
        difference: (R, C, F, h, w).
        weights: (R, F, h, w); their size does not matter.
        size: below which errors count squared.
        processes: that share the clips.
    """
    weights = weights[:, None]
    whole = processes.mean(weights.mean()).clamp(min=torch.finfo(weights.dtype).tiny)
    errors = (difference.square() + size**2).sqrt() - size
    return (errors * weights).mean() / whole


def _seen(schedule: Schedule, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
    """Clean latents; at timestep 0 the noisy ones themselves, whatever is predicted."""
    scaled = (timesteps.to(noisy) * _TIMESTEP_SCALE).view(-1, 1, 1, 1, 1)
    variance = scaled.square() + _DATA_DEVIATION**2
    clean = schedule.clean(noisy, prediction, timesteps)
    return _DATA_DEVIATION**2 / variance * noisy + scaled / variance.sqrt() * clean
