"""Node: put the animated square back into its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import types

if TYPE_CHECKING:
    from torch import Tensor

    from ..megactor_core.vision.crops import Crop


class PasteBack(io.ComfyNode):
    """Animated square and whole picture in, whole pictures out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorPasteBack",
            display_name="Paste Back",
            category="MegActor",
            description="Puts the animated square back into the picture it was cut out of, at the picture's "
            "resolution; its border fades into the picture.",
            search_aliases=["uncrop", "composite", "blend", "stitch face", "original resolution"],
            inputs=[
                io.Image.Input("frames", tooltip="The animated square, one picture per frame."),
                types.Crop.Input("crop", tooltip="Where the square was cut out, from Segment Reference."),
                io.Image.Input(
                    "image", tooltip="The picture that Segment Reference was given, or one per frame."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="How much of the square is used at each pixel of the picture (white: all), one "
                    "or one per frame. Without it all of the square.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames_out",
                    display_name="frames",
                    tooltip="The whole picture, animated, as many frames as came in.",
                )
            ],
        )

    @classmethod
    def execute(cls, frames: Tensor, crop: Crop, image: Tensor, mask: Tensor | None = None) -> io.NodeOutput:
        from .host.paste import paste_frames

        return io.NodeOutput(paste_frames(frames, crop, image, mask))
