"""What a node says at validation about inputs that its model's family cannot use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..megactor_core.errors import InputError

if TYPE_CHECKING:
    from ..megactor_core.models.config import ModelConfig
    from .host.linked_model import Inputs

Check = Callable[["ModelConfig", "Inputs"], Any]
"""Raises InputError for inputs that a model cannot use."""


def check_family(node_id: str, check: Check) -> bool | str:
    """What ``validate_inputs`` answers.

    Args:
        node_id: of the node in the prompt.
        check: of its inputs.

    Returns:
        True, or what is wrong in one line. What cannot be told before the model is loaded counts as right;
        the node checks again when it runs.
    """
    from .host.linked_model import inputs_of, linked_config

    try:
        inputs = inputs_of(node_id)
        config = linked_config(inputs)
        if config is not None:
            check(config, inputs)
    except InputError as error:
        return str(error)
    return True


def check_sampled(config: ModelConfig, inputs: Inputs) -> None:
    """Inputs of a node that samples; see ``sampling_inputs.parts_inputs``."""
    from ..megactor_core.family_inputs import check_background

    check_background(config, "background" in inputs)
    check_moved(config, inputs)


def check_moved(config: ModelConfig, inputs: Inputs, driving: bool = True) -> None:
    """Sound, amplitudes and strengths that are linked to a node, beside a driver or without."""
    from ..megactor_core.conditioning.conditions import ControlStrength
    from ..megactor_core.family_inputs import check_controls, check_motion
    from .host.linked_model import linked_inputs
    from .motion import read_motion

    widgets = linked_inputs(inputs, "amplitude", "MegActorMotionAmplitude") or {}
    linked = any(isinstance(value, list) for value in widgets.values())
    motion = read_motion(**({} if linked else widgets))
    check_motion(config, driving, "audio" in inputs, motion.amplitude)
    if "control_strength" in inputs:
        check_controls(config, {"the ControlNets": ControlStrength()})
