"""Inputs that the sampling nodes have in common, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..megactor_core.motion import Motion
from . import types

if TYPE_CHECKING:
    from ..megactor_core.models.conditions import (
        AudioCondition,
        BackgroundCondition,
        ControlStrength,
        DrivingFeatures,
        ReferenceCondition,
    )
    from ..megactor_core.models.config import ModelConfig
    from ..megactor_core.sampling.sampler import SamplingSettings
    from .host.sampling import ClipParts

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
            tooltip="How noise is removed. ddim is what the models were made with; lcm goes with LoRAs for "
            "few steps.",
        ),
        *context_inputs(),
    ]


def parts_inputs() -> list[io.Input]:
    """Everything that makes up a clip."""
    return [
        types.Model.Input("model", tooltip="From Load MegActor Model."),
        types.Reference.Input("reference", tooltip="The portrait, from Encode Reference."),
        types.Background.Input(
            "background",
            optional=True,
            tooltip="From Encode Background, for models that read it, as MegActor does; others need none.",
        ),
        types.Driving.Input("driving", tooltip="The motion, from Encode Driving."),
        types.Audio.Input(
            "audio",
            optional=True,
            tooltip="Speech, from Encode Audio, for models that hear; without it they are given silence.",
        ),
        *motion_inputs(
            "makes speech and expression stronger or weaker. Head motion is applied by Prepare Driving, so "
            "link it there too."
        ),
    ]


def motion_inputs(amplitude: str) -> list[io.Input]:
    """How much each source of motion counts.

    Args:
        amplitude: tooltip of the amplitude.
    """
    return [
        types.Motion.Input("amplitude", optional=True, tooltip=f"From Motion Amplitude: {amplitude}"),
        types.ControlStrengths.Input(
            "control_strength",
            optional=True,
            tooltip="From Control Strength, for X-Portrait: how much the driver's face, eyes and mouth "
            "count.",
        ),
    ]


def clip_parts(
    reference: ReferenceCondition,
    driving: DrivingFeatures,
    background: BackgroundCondition | None = None,
    audio: AudioCondition | None = None,
    amplitude: Motion | None = None,
    control_strength: Mapping[str, ControlStrength] | None = None,
) -> ClipParts:
    """What is linked to the inputs of ``parts_inputs``."""
    from .host.sampling import ClipParts

    motion = amplitude or Motion()
    return ClipParts(reference, driving, background, audio, control_strength or {}, motion.amplitude)


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
    settings.validate(config)
    return settings
