"""One clip for the host's samplers: MODEL, positive, negative and LATENT."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...megactor_core.conditioning.conditions import (
    BackgroundCondition,
    DrivingFeatures,
    ReferenceCondition,
)
from ...megactor_core.sampling.sampler import SamplingSettings
from .native_conditions import conditioning
from .native_windows import use_context_windows
from .portrait_model import PortraitModel
from .sampling import join_conditions


def native_clip(
    model: PortraitModel,
    reference: ReferenceCondition,
    background: BackgroundCondition,
    driving: DrivingFeatures,
    settings: SamplingSettings,
) -> tuple[ModelPatcher, list[list[Any]], list[list[Any]], dict[str, Tensor]]:
    """What Apply MegActor puts out.

    Args:
        settings: only the context windows are used.

    Raises:
        InputError: conditions that do not go together.
    """
    device = comfy.model_management.intermediate_device()
    conditions = join_conditions(model, model.load(), reference, background, driving).to(
        device, torch.float32
    )
    patcher = model.denoiser.clone()
    use_context_windows(patcher, settings)
    _, channels, height, width = reference.latents.shape
    latent = {"samples": torch.zeros(driving.num_frames, channels, height, width, device=device)}
    return patcher, conditioning(conditions, True), conditioning(conditions, False), latent
