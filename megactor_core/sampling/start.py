"""What sampling starts from: noise alone, or clean latents noised to the last timestep."""

from __future__ import annotations

from torch import Tensor

from ..conditioning.conditions import Conditions
from ..models.config import ModelConfig
from .schedulers import build_scheduler


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
