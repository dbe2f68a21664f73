"""Widgets that every sampling node has, and the settings they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

if TYPE_CHECKING:
    from ..megactor_core.models.config import ModelConfig
    from ..megactor_core.sampling.sampler import SamplingSettings

# The core's schedulers; named here because importing them takes seconds that the host's start should not.
SCHEDULER_NAMES = ["ddim", "euler", "dpm++2m", "unipc", "lcm"]


def sampling_inputs() -> list[io.Input]:
    """Seed, steps, guidance, scheduler and context windows."""
    return [
        io.Int.Input(
            "seed",
            default=42,
            min=0,
            max=2**63 - 1,
            control_after_generate=True,
            tooltip="Start of the random noise. The same seed gives the same clip.",
        ),
        io.Int.Input(
            "steps", default=0, min=0, max=1000, tooltip="Denoising steps. 0: what suits the model."
        ),
        io.Float.Input(
            "guidance_scale",
            default=0.0,
            min=0.0,
            max=30.0,
            step=0.1,
            round=0.01,
            tooltip="How strongly the portrait's identity is enforced. 1 switches guidance off and "
            "halves the work. 0: what suits the model.",
        ),
        io.Combo.Input(
            "scheduler",
            options=SCHEDULER_NAMES,
            default="ddim",
            tooltip="How noise is removed. ddim is what the models were made with.",
        ),
        *context_inputs(),
    ]


def context_inputs() -> list[io.Input]:
    """Length and overlap of the context windows."""
    return [
        io.Int.Input(
            "context_length",
            default=0,
            min=0,
            max=128,
            advanced=True,
            tooltip="Frames that are denoised together; a longer clip is done in windows. 0: what suits the "
            "model.",
        ),
        io.Int.Input(
            "context_overlap",
            default=-1,
            min=-1,
            max=127,
            advanced=True,
            tooltip="Frames that neighbouring windows share. More is steadier and slower. -1: what suits the "
            "model.",
        ),
    ]


def sampling_settings(
    config: ModelConfig,
    *,
    seed: int = 0,
    steps: int = 0,
    guidance_scale: float = 0.0,
    scheduler: str = "ddim",
    context_length: int = 0,
    context_overlap: int = -1,
) -> SamplingSettings:
    """The core's settings for what the widgets say.

    Raises:
        InputError: values that do not go together or that the model cannot do.
    """
    from ..megactor_core.sampling.sampler import SamplingSettings

    changes: dict[str, Any] = {"seed": seed, "scheduler": scheduler}
    if steps:
        changes["num_inference_steps"] = steps
    if guidance_scale:
        changes["guidance_scale"] = guidance_scale
    if context_length:
        changes["context_length"] = context_length
    if context_overlap >= 0:
        changes["context_overlap"] = context_overlap
    settings = SamplingSettings.from_defaults(config.defaults, **changes)
    settings.validate(config.denoiser)
    return settings
