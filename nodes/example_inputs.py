"""Node: the pack's own example portrait and driving video."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import InputImpl, io

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class ExampleInputs(io.ComfyNode):
    """A portrait and a driver to try the pack with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorExampleInputs",
            display_name="Load MegActor Example",
            category="MegActor",
            description="The pack's example: a drawn portrait and a short driving video with sound, for the "
            "bundled demo model.",
            search_aliases=["megactor demo", "sample portrait", "test video"],
            inputs=[],
            outputs=[
                io.Image.Output("portrait", tooltip="A drawn portrait."),
                io.Video.Output("driving", tooltip="A short video of another drawn person, with sound."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from ..megactor_core.media.pictures import load_picture
        from .host.images import to_image

        portrait = to_image(load_picture(_EXAMPLES / "portrait.png"))
        return io.NodeOutput(portrait, InputImpl.VideoFromFile(str(_EXAMPLES / "driving.mp4")))
