"""Node: portrait and driving video in, animated video out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from comfy_api.latest import InputImpl, io, ui

from . import types
from .looking_inputs import crop_input, lost_face_input, size_input, trim_inputs
from .sampling_inputs import sampling_inputs, sampling_settings

if TYPE_CHECKING:
    from comfy_api.latest import Input
    from torch import Tensor

    from .host.portrait_model import PortraitModel


class AnimatePortrait(io.ComfyNode):
    """All steps in one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorAnimatePortrait",
            display_name="Animate Portrait",
            category="MegActor",
            description="Animates one picture with the motion of a driving video: all steps in one node. "
            "Frames are read and written as a stream, so that long videos need little memory; the result has "
            "as many frames as the driver, its frame rate and its sound.",
            search_aliases=[
                "talking head",
                "portrait animation",
                "face reenactment",
                "image to video",
                "megactor",
            ],
            has_intermediate_output=True,
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                io.Image.Input("portrait", tooltip="One picture of the person to animate."),
                io.Video.Input("driving", tooltip="The motion: a video of a face, read as a stream."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the person is in the whole picture (white), for example from Remove "
                    "Background. Without it the person is found.",
                ),
                *sampling_inputs(),
                crop_input("portrait and the driving frames"),
                io.Boolean.Input(
                    "paste_back",
                    default=False,
                    tooltip="Put the result back into the whole picture, at the picture's resolution.",
                ),
                size_input(),
                lost_face_input(advanced=True),
                *trim_inputs(),
            ],
            outputs=[
                io.Video.Output(
                    "video", tooltip="The animated portrait with the driver's sound, for Save Video."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        from .host.faces import detector_stamp

        return detector_stamp()

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        portrait: Tensor,
        driving: Input.Video,
        crop: Literal["auto", "face", "whole"],
        paste_back: bool,
        size: int,
        lost_face: Literal["hold", "interpolate", "pass"],
        start_frame: int,
        max_frames: int,
        mask: Tensor | None = None,
        **sampling: Any,
    ) -> io.NodeOutput:
        from .host.animation import animate_portrait

        path = animate_portrait(
            model,
            portrait,
            driving,
            sampling_settings(model.config, **sampling),
            crop=crop,
            paste=paste_back,
            mask=mask,
            size=size,
            lost_face=lost_face,
            start_frame=start_frame,
            max_frames=max_frames,
        )
        shown = ui.SavedResult(path.name, "", io.FolderType.temp)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([shown]))
