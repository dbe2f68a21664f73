"""Node: driving frames as the denoiser's condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import types

if TYPE_CHECKING:
    from torch import Tensor

    from .host.portrait_model import PortraitModel


class EncodeDriving(io.ComfyNode):
    """Condition frames in, features out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorEncodeDriving",
            display_name="Encode Driving",
            category="MegActor",
            description="Encodes the motion of the driving frames. It knows nothing of the portrait, so that "
            "another portrait is animated without encoding the driver again.",
            search_aliases=["megactor driving", "motion encode", "driver"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                io.Image.Input("condition", tooltip="Grey frames on black, from Prepare Driving."),
            ],
            outputs=[
                types.Driving.Output(
                    "driving", tooltip="The motion, for Sample MegActor Clip or Apply MegActor."
                )
            ],
        )

    @classmethod
    def execute(cls, model: PortraitModel, condition: Tensor) -> io.NodeOutput:
        from .host.encoding import encode_driving

        return io.NodeOutput(encode_driving(model, condition))
