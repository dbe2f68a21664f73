"""Node: how much of each source of motion counts."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..megactor_core.animation.options import MotionOptions
from ..megactor_core.errors import InputError
from ..megactor_core.motion import SCALED, read_motion
from . import types
from .widgets import widgets


class MotionAmplitude(io.ComfyNode):
    """Widgets in, amplitudes out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorMotionAmplitude",
            display_name="Motion Amplitude",
            category="MegActor",
            description="Makes speech, head motion and expression stronger or weaker, each on its own, for "
            "the whole clip or by keyframes. 1 is exactly as driven, 0 is still.",
            search_aliases=[
                "motion strength",
                "exaggerate",
                "head motion scale",
                "keyframes",
                "lip strength",
            ],
            inputs=[
                *widgets(MotionOptions, "speech_amplitude", "head_motion", "expression", "blink", "sway"),
                *(
                    io.String.Input(
                        f"{name}_keyframes",
                        default="",
                        advanced=True,
                        tooltip=f"Instead of {name}: one number per frame (1, 0.8, 0.6), or frame: number "
                        "pairs (0: 1, 25: 0.2) that are joined by straight lines. Empty: the number above.",
                    )
                    for name in SCALED
                ),
            ],
            outputs=[
                types.Motion.Output(
                    "amplitude",
                    tooltip="For Prepare Driving (head motion, blink, sway), for Sample MegActor Clip or "
                    "Apply MegActor (speech, expression), or for Animate Portrait (all).",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, speech_keyframes: str | None = None) -> bool | str:
        from .host.linked_model import inputs_of

        # The host repeats an answer for every input that is named above; the texts come from the prompt.
        given = inputs_of(cls.hidden.unique_id)
        names = [f"{name}_keyframes" for name in SCALED]
        try:
            read_motion(**{name: given[name] for name in names if isinstance(given.get(name), str)})
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **widgets: Any) -> io.NodeOutput:
        return io.NodeOutput(read_motion(**widgets))
