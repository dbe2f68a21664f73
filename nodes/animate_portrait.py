"""Node: portrait and driving video in, animated video out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comfy_api.latest import InputImpl, io, ui

from ..megactor_core.animation.options import (
    AnimationOptions,
    CropOptions,
    DrivingOptions,
    FileOptions,
    FrameOptions,
    MotionOptions,
    SamplingOptions,
)
from ..megactor_core.families.features import hears
from ..megactor_core.families.registry import labels_with
from ..megactor_core.motion import Motion
from . import types
from .family_checks import check_family, check_moved, check_shown
from .picture_inputs import mask_input, take_frames
from .sampling_inputs import motion_inputs, sampling_inputs
from .widgets import later_widgets, take_options, widget, widgets

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
                    tooltip="Speech that moves the lips, for models that hear, as "
                    f"{labels_with(hears)} does. The result has this sound; without a driving "
                    "video it is as long.",
                ),
                *motion_inputs("makes speech, head motion and expression stronger or weaker."),
                mask_input(),
                *sampling_inputs(),
                widget(CropOptions, "crop", "portrait and the driving frames"),
                *widgets(FileOptions, "paste"),
                *widgets(SamplingOptions, "size"),
                widget(DrivingOptions, "lost", advanced=True),
                *widgets(FrameOptions, "start", "stop"),
                widget(
                    MotionOptions,
                    "frame_rate",
                    "where speech drives alone; a video has its own.",
                    optional=True,
                    advanced=True,
                ),
                widget(
                    DrivingOptions,
                    "driving_mode",
                    options=["auto", "plain", "eyes_mouth", "eyes", "hints"],  # contour needs landmarks
                    optional=True,
                    advanced=True,
                ),
                *later_widgets("Animate Portrait", DrivingOptions, SamplingOptions),
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
        driving: Input.Video | None = None,
        audio: Input.Audio | None = None,
        amplitude: Motion | None = None,
        control_strength: Mapping[str, ControlStrength] | None = None,
        mask: Tensor | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        from .host.animation import animate_portrait

        options = AnimationOptions(
            files=take_options(FileOptions, values),
            crops=take_options(CropOptions, values),
            driving=take_options(DrivingOptions, values),
            frames=take_frames(values),
            sampling=take_options(SamplingOptions, values),
            motion=take_options(MotionOptions, values),
            strengths=control_strength or {},
        )
        path = animate_portrait(
            model,
            portrait,
            driving=driving,
            audio=audio,
            mask=mask,
            motion=amplitude or Motion(),
            options=options,
        )
        shown = ui.SavedResult(path.name, "", io.FolderType.temp)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([shown]))


def _check(config: ModelConfig, inputs: Inputs) -> None:
    check_moved(config, inputs, driving="driving" in inputs)
    check_shown(config, inputs)
