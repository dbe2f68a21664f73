"""One clip for the host's samplers: MODEL, positive, negative and LATENT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...megactor_core.sampling.sampler import SamplingSettings
from .native.conditions import conditioning
from .native.windows import use_context_windows
from .portrait_model import PortraitModel
from .sampling import ClipParts, join_conditions, with_silence


def native_clip(
    model: PortraitModel, parts: ClipParts, settings: SamplingSettings
) -> tuple[ModelPatcher, list[list[Any]], list[list[Any]], dict[str, Tensor]]:
    """Outputs of Apply MegActor.

    Args:
        settings: only the context windows and the reference's strength are used.

    Raises:
        InputError: conditions that do not go together or are not finite.
    """
    device = comfy.model_management.intermediate_device()
    parts.check(model)
    parts = with_silence(model, parts)
    conditions = join_conditions(model, model.load(), parts)
    conditions.check_finite()
    conditions = replace(conditions, reference_strength=settings.reference_strength)
    conditions = conditions.to(device, torch.float32)
    patcher = model.denoiser.clone()
    use_context_windows(patcher, settings)
    _, channels, height, width = parts.reference.latents.shape
    latent = {"samples": torch.zeros(parts.num_frames, channels, height, width, device=device)}
    return patcher, conditioning(conditions, True), conditioning(conditions, False), latent
