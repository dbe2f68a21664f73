"""Node: portrait and driving video in, animated video out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from comfy_api.latest import InputImpl, io, ui

from ..megactor_core.motion import Motion
from . import types
from .family_checks import check_family, check_moved
from .looking_inputs import crop_input, frame_rate_input, lost_face_input, size_input, trim_inputs
from .sampling_inputs import motion_inputs, sampling_inputs, sampling_settings

if TYPE_CHECKING:
    from comfy_api.latest import Input
    from torch import Tensor

    from ..megactor_core.models.conditions import ControlStrength
    from ..megactor_core.models.config import ModelConfig
    from .host.linked_model import Inputs
    from .host.portrait_model import PortraitModel


class AnimatePortrait(io.ComfyNode):
    """All steps in one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorAnimatePortrait",
            display_name="Animate Portrait",
            category="MegActor",
            description="Animates one picture with a driving video, with speech, or with both: all steps in "
            "one node. Frames are read and written as a stream, so that long videos need little memory; the "
            "result has as many frames as the driver, its frame rate and its sound.",
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
                io.Video.Input(
                    "driving",
                    optional=True,
                    tooltip="The motion: a video of a face, read as a stream. Without it speech drives "
                    "alone.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Speech that moves the lips, for models that hear, as MegActor-Sigma does. The "
                    "result has this sound; without a driving video it is as long.",
                ),
                *motion_inputs("makes speech, head motion and expression stronger or weaker."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the person is in the whole picture (white), for example from Remove "
                    "Background. Load Image's mask of a cut-out, which marks what is transparent, is "
                    "inverted. Without it the person is found.",
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
                frame_rate_input(
                    "where speech drives alone; a video has its own.", optional=True, advanced=True
                ),
            ],
            outputs=[
                io.Video.Output("video", tooltip="The animated portrait with its sound, for Save Video.")
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        return check_family(cls.hidden.unique_id, _check)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        from .host.faces import detector_stamp
        from .host.people import segmenter_stamp

        return detector_stamp(), segmenter_stamp()

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        portrait: Tensor,
        crop: Literal["auto", "face", "whole", "squash"],
        paste_back: bool,
        size: int,
        lost_face: Literal["hold", "interpolate", "pass"],
        start_frame: int,
        max_frames: int,
        frame_rate: float = 25.0,
        driving: Input.Video | None = None,
        audio: Input.Audio | None = None,
        amplitude: Motion | None = None,
        control_strength: Mapping[str, ControlStrength] | None = None,
        mask: Tensor | None = None,
        **sampling: Any,
    ) -> io.NodeOutput:
        from .host.animation import animate_portrait

        path = animate_portrait(
            model,
            portrait,
            driving,
            audio,
            sampling_settings(model.config, **sampling),
            motion=amplitude or Motion(),
            strengths=control_strength or {},
            frame_rate=frame_rate,
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


def _check(config: ModelConfig, inputs: Inputs) -> None:
    check_moved(config, inputs, driving="driving" in inputs)
