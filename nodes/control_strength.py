"""Node: how much each of X-Portrait's ControlNets counts, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..megactor_core import limits
from ..megactor_core.animation.declare import Option
from ..megactor_core.animation.options import ControlOptions
from ..megactor_core.errors import InputError
from ..megactor_core.families.features import has_controls
from ..megactor_core.families.registry import families_with, labels_with
from . import types
from .widgets import widget

if TYPE_CHECKING:
    from ..megactor_core.models import conditions

_SUFFIX = "_control"
_AS_TRAINED = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}


class ControlStrength(io.ComfyNode):
    """Widgets in, strengths out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [family.label.lower() for family in families_with(has_controls)]
        return io.Schema(
            node_id="MegActorControlStrength",
            display_name="Control Strength",
            category="MegActor",
            description=f"How much {labels_with(has_controls)}'s two ControlNets count and in which part of "
            "denoising: one sees the driver's whole face, the other its eyes and mouth.",
            search_aliases=["controlnet strength", *names, "start percent", "end percent"],
            inputs=[
                one
                for option in ControlOptions.declared()
                for one in (
                    widget(ControlOptions, option.name, id=f"{_network(option)}_strength"),
                    _percent(option, "start_percent", 0.0, "begins to count."),
                    _percent(option, "end_percent", 1.0, "counts no more."),
                )
            ],
            outputs=[
                types.ControlStrengths.Output(
                    "control_strength",
                    tooltip="For Sample MegActor Clip, Apply MegActor or Animate Portrait.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, face_start_percent: float | None = None) -> bool | str:
        from .host.linked_model import inputs_of

        # The host repeats an answer for every input that is named above; the numbers come from the prompt. It
        # looks at the others' ranges itself.
        given = inputs_of(cls.hidden.unique_id)
        numbers = {name: value for name, value in given.items() if isinstance(value, int | float)}
        in_range = {
            name: value
            for name, value in numbers.items()
            if name == "face_start_percent" or 0 <= value <= (1 if name.endswith("percent") else limits.SCALE)
        }
        try:
            _strengths(in_range)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **widgets: float) -> io.NodeOutput:
        return io.NodeOutput(_strengths(widgets))


def _strengths(widgets: Mapping[str, float]) -> dict[str, conditions.ControlStrength]:
    """Strengths by ControlNet; what is not given is as trained.

    Raises:
        InputError: a number is out of range, or a start lies after its end.
    """
    from ..megactor_core.animation.plan import control_strengths

    values = {
        option.name: tuple(
            widgets.get(f"{_network(option)}_{part}", default) for part, default in _AS_TRAINED.items()
        )
        for option in ControlOptions.declared()
    }
    return control_strengths(ControlOptions(**values), lambda name: name.removesuffix(_SUFFIX))


def _network(option: Option) -> str:
    """Name of a ControlNet in the widgets."""
    return option.name.removesuffix(_SUFFIX)


def _percent(option: Option, part: str, default: float, then: str) -> io.Float.Input:
    """A share of denoising, and what happens after it."""
    assert option.widget is not None
    return io.Float.Input(
        f"{_network(option)}_{part}",
        default=default,
        min=0.0,
        max=1.0,
        step=0.001,
        advanced=True,
        tooltip=f"Share of denoising after which {option.widget.subject} {then}",
    )
