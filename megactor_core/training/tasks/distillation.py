"""What a distillation is made of: its objective, and the model that comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor, nn

from ...models.config import ModelConfig
from ...models.networks import Networks
from ..config.distillation import AppearanceConfig, DistillationConfig
from ..config.tasks import DenoiserTaskConfig
from .appearance import AppearanceObjective
from .base import StepContext
from .consistency import ConsistencyObjective
from .prepared import PreparedClips
from .teacher import Teacher


class Distillation(Protocol):
    """Objective of a distillation."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Networks that are trained beside the model's, by name, and belong to no model."""

    @property
    def frozen(self) -> Sequence[nn.Module]:
        """Other networks that it needs, beside the model's."""

    def __call__(
        self, task: DenoiserTaskConfig, networks: Networks, clips: PreparedClips, context: StepContext
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of this process's clips, and scalars for the log, ``mse`` of the clean latents among them."""


def build_distillation(
    config: DistillationConfig, model: ModelConfig, networks: Networks, changing: Iterable[str], seed: int
) -> Distillation:
    """The objective of a configuration.

    Args:
        config: of the distillation.
        model: what is distilled.
        networks: its networks.
        changing: names of those whose own weights change.
        seed: of fresh weights.

    Raises:
        InputError: the weights of LPIPS cannot be read.
    """
    if isinstance(config, AppearanceConfig):
        return AppearanceObjective(config, model, seed)
    return ConsistencyObjective(config, model, Teacher(model, networks, changing))


def few_step_model(config: DistillationConfig, model: ModelConfig) -> ModelConfig:
    """The model as it is exported: made for few steps of LCM's sampling, without guidance."""
    steps = config.num_inference_steps
    defaults = replace(model.defaults, scheduler="lcm", num_inference_steps=steps, guidance_scale=1.0)
    return replace(model, defaults=defaults)
