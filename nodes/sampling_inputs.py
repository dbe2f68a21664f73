"""Inputs that the sampling nodes have in common, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..megactor_core.animation.options import SamplingOptions
from ..megactor_core.families.features import has_controls
from ..megactor_core.families.registry import labels_with
from ..megactor_core.motion import Motion
from . import types
from .widgets import take_options, widget, widgets

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


PARTS = {"reference", "driving", "background", "audio", "amplitude", "control_strength"}
"""Names of ``parts_inputs`` but the model."""


def sampling_inputs() -> list[io.Input]:
    """Seed, steps, guidance, scheduler and context windows."""
    return [
        widget(SamplingOptions, "seed", control_after_generate=True),
        *widgets(SamplingOptions, "num_inference_steps", "guidance_scale", "scheduler"),
        *context_inputs(),
    ]


def context_inputs() -> list[io.Input]:
    """Length and overlap of the context windows."""
    return widgets(SamplingOptions, "context_length", "context_overlap")


def parts_inputs() -> list[io.Input]:
    """Inputs of all conditions of a clip."""
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
    """Inputs for the amplitude of each source of motion.

    Args:
        amplitude: tooltip of the amplitude.
    """
    return [
        types.Motion.Input("amplitude", optional=True, tooltip=f"From Motion Amplitude: {amplitude}"),
        types.ControlStrengths.Input(
            "control_strength",
            optional=True,
            tooltip=f"From Control Strength, for {labels_with(has_controls)}: how much the driver's face, "
            "eyes and mouth count.",
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
    """Values of the inputs of ``parts_inputs``."""
    from .host.sampling import ClipParts

    motion = amplitude or Motion()
    return ClipParts(reference, driving, background, audio, control_strength or {}, motion.amplitude)


def sampling_settings(config: ModelConfig, *, seed: int = 0, **values: Any) -> SamplingSettings:
    """The core's settings for what the widgets say.

    Raises:
        InputError: values that do not go together or that the model cannot do.
    """
    from ..megactor_core.animation import plan

    return plan.sampling_settings(config, take_options(SamplingOptions, {"seed": seed, **values}))
