"""Node: how much each of X-Portrait's ControlNets counts, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..megactor_core import limits
from ..megactor_core.errors import InputError
from . import types

if TYPE_CHECKING:
    from ..megactor_core.models import conditions

_NETWORKS = {"face": "the ControlNet of the whole face", "patch": "the ControlNet of eyes and mouth"}
_AS_TRAINED = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}


class ControlStrength(io.ComfyNode):
    """Widgets in, strengths out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorControlStrength",
            display_name="Control Strength",
            category="MegActor",
            description="How much X-Portrait's two ControlNets count and in which part of denoising: one "
            "sees the driver's whole face, the other its eyes and mouth.",
            search_aliases=["controlnet strength", "x-portrait", "start percent", "end percent"],
            inputs=[
                widget
                for name, network in _NETWORKS.items()
                for widget in (
                    io.Float.Input(
                        f"{name}_strength",
                        default=1.0,
                        min=0.0,
                        max=10.0,
                        step=0.01,
                        tooltip=f"How much {network} counts. 1: as trained, 0: not at all, which is faster.",
                    ),
                    _percent(f"{name}_start_percent", 0.0, f"{network} begins to count."),
                    _percent(f"{name}_end_percent", 1.0, f"{network} counts no more."),
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
    from ..megactor_core.models import conditions

    strengths = {}
    for name in _NETWORKS:
        values = (widgets.get(f"{name}_{part}", default) for part, default in _AS_TRAINED.items())
        try:
            strengths[f"{name}_control"] = conditions.ControlStrength(*values)
        except InputError as error:
            raise InputError(f"{name}: {error.subject}", error.problem, error.remedy) from error
    return strengths


def _percent(name: str, default: float, then: str) -> io.Float.Input:
    """A share of denoising, and what happens after it."""
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.001,
        advanced=True,
        tooltip=f"Share of denoising after which {then}",
    )
