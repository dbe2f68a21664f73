"""Checks at validation for inputs that a model's family cannot use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..megactor_core.animation.options import DrivingOptions
from ..megactor_core.errors import InputError
from .widgets import take_options

if TYPE_CHECKING:
    from ..megactor_core.models.config import ModelConfig
    from ..megactor_core.motion import Amplitude
    from .host.linked_model import Inputs

Check = Callable[["ModelConfig", "Inputs"], Any]
"""Raises InputError for inputs that a model cannot use."""


def check_family(node_id: str, check: Check) -> bool | str:
    """Answer of ``validate_inputs(cls, model: None = None)``.

    The host repeats an answer for every input that ``validate_inputs`` names, and drops it where none of them
    is given. ``model`` is a link, of which the host checks nothing more, so that it is the one to name.

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
    from ..megactor_core.animation.checks import check_background

    check_background(config, "background" in inputs)
    check_moved(config, inputs)


def check_moved(config: ModelConfig, inputs: Inputs, driving: bool = True) -> None:
    """Sound, amplitudes and strengths that are linked to a node, beside a driver or without."""
    from ..megactor_core.animation.checks import check_controls, check_motion
    from ..megactor_core.models.conditions import ControlStrength

    check_motion(config, driving, "audio" in inputs, _linked_amplitude(inputs))
    if "control_strength" in inputs:
        check_controls(config, {"the ControlNets": ControlStrength()})


def check_shown(config: ModelConfig, inputs: Inputs) -> None:
    """Check the widgets of a node about the driver's presentation."""
    from ..megactor_core.animation.checks import check_best_frame, check_fixed_patches, checked_mode

    values = {name: value for name, value in inputs.items() if not isinstance(value, list)}
    driving = take_options(DrivingOptions, values)
    if driving.driving_mode is not None:
        checked_mode(config, driving.driving_mode)
    check_best_frame(config, driving.best_frame)
    if driving.fixed_patches:
        check_fixed_patches(config)


def _linked_amplitude(inputs: Inputs) -> Amplitude:
    """Amplitudes that are linked to a node; as driven where they cannot be told, or not be read."""
    from ..megactor_core.motion import AS_DRIVEN, read_motion
    from .host.linked_model import linked_inputs

    widgets = linked_inputs(inputs, "amplitude", "MegActorMotionAmplitude") or {}
    if any(isinstance(value, list) for value in widgets.values()):
        return AS_DRIVEN
    try:
        return read_motion(**widgets).amplitude
    except (InputError, TypeError):
        return AS_DRIVEN  # what is wrong is said on Motion Amplitude
