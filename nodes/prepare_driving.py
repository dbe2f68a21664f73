"""Node: follow the driver's face and show the model what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from comfy_api.latest import io, ui

from . import types
from .looking_inputs import (
    FaceLandmarks,
    crop_input,
    face_input,
    lost_face_input,
    size_input,
    trim_inputs,
)

if TYPE_CHECKING:
    from comfy_api.latest import Input
    from torch import Tensor

    from .host.portrait_model import PortraitModel


class PrepareDriving(io.ComfyNode):
    """Driving clip in; condition frames, frame rate and sound out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorPrepareDriving",
            display_name="Prepare Driving",
            category="MegActor",
            description="Follows the face through the driving clip and turns every frame into what the model "
            "is shown of it, grey on black. Shows some frames above what is kept of them.",
            search_aliases=[
                "driving video",
                "face tracking",
                "motion",
                "megactor driver",
                "condition frames",
            ],
            has_intermediate_output=True,
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model; it decides the square's size."),
                io.Video.Input("video", optional=True, tooltip="The driving video, read as a stream."),
                io.Image.Input(
                    "images", optional=True, tooltip="The driving frames as a batch, instead of a video."
                ),
                crop_input("driving frames"),
                io.BoundingBox.Input(
                    "bounding_boxes",
                    optional=True,
                    force_input=True,
                    tooltip="Where faces are in each frame, or one box for all; any node that gives boxes.",
                ),
                FaceLandmarks.Input(
                    "face_landmarks",
                    optional=True,
                    tooltip="Faces of all frames from Detect Face Landmarks. The contour mode needs them; "
                    "else they are used where no boxes are linked.",
                ),
                FaceLandmarks.Input(
                    "portrait_landmarks",
                    optional=True,
                    tooltip="For the contour mode: landmarks of Segment Reference's portrait; the driver's "
                    "face is moved onto it. Without them it stays where it is.",
                ),
                io.Combo.Input(
                    "mode",
                    options=["plain", "contour"],
                    default="plain",
                    tooltip="What the model is shown: the face and its surroundings (plain), or only patches "
                    "of eyes, brows and mouth (contour), which carry less of the driver's looks.",
                ),
                lost_face_input(advanced=False),
                *trim_inputs(),
                io.Float.Input(
                    "frame_rate",
                    default=25.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Frames per second of images; a video has its own.",
                ),
                face_input(),
                io.Float.Input(
                    "smoothing",
                    default=0.0,
                    min=0.0,
                    max=0.99,
                    step=0.01,
                    advanced=True,
                    tooltip="Calms the face's box over time: weight of the neighbouring frames. 0: off.",
                ),
                size_input(),
            ],
            outputs=[
                io.Image.Output("condition", tooltip="One grey picture per frame, for Encode Driving."),
                io.Float.Output(
                    "frame_rate_out",
                    display_name="frame_rate",
                    tooltip="Frames per second, for Create Video.",
                ),
                io.Audio.Output(
                    "audio",
                    tooltip="The sound of the frames used, for Create Video; none where there is none.",
                ),
                io.String.Output("report", tooltip="The frames used, and which of them show no face."),
                io.Int.Output("num_frames", tooltip="How many frames are used; the result has as many."),
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
        crop: Literal["auto", "face", "whole"],
        mode: Literal["plain", "contour"],
        lost_face: Literal["hold", "interpolate", "pass"],
        start_frame: int,
        max_frames: int,
        frame_rate: float,
        face: int,
        smoothing: float,
        size: int,
        video: Input.Video | None = None,
        images: Tensor | None = None,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        portrait_landmarks: Any = None,
    ) -> io.NodeOutput:
        from .host.images import to_image
        from .host.look import look_at_driver
        from .host.video import audio_of, one_driver

        look = look_at_driver(
            model.config,
            one_driver(video, images, frame_rate),
            crop=crop,
            mode=mode,
            lost_face=lost_face,
            start_frame=start_frame,
            max_frames=max_frames,
            face=face,
            smoothing=smoothing,
            size=size,
            bounding_boxes=bounding_boxes,
            face_landmarks=face_landmarks,
            portrait_landmarks=portrait_landmarks,
        )
        used = look.prepared.source
        return io.NodeOutput(
            look.condition,
            float(used.frame_rate),
            audio_of(used),
            look.report,
            used.num_frames,
            ui=ui.PreviewImage(to_image(look.strip)),
        )
