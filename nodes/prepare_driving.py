"""Node: follow the driver's face and show the model what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io, ui

from ..megactor_core.animation.options import (
    CropOptions,
    DrivingOptions,
    FrameOptions,
    MotionOptions,
    SamplingOptions,
)
from ..megactor_core.families.features import aligns_driver, has_controls
from ..megactor_core.families.registry import labels_with
from ..megactor_core.motion import Motion
from . import types
from .family_checks import check_family, check_shown
from .picture_inputs import FaceLandmarks, take_frames
from .widgets import take_options, widget, widgets

if TYPE_CHECKING:
    from comfy_api.latest import Input
    from torch import Tensor

    from ..megactor_core.models.config import ModelConfig
    from .host.linked_model import Inputs
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
            "is shown of it. Shows some frames above what is kept of them. Without a clip, a portrait and "
            "speech make the portrait its own driver, which blinks and sways.",
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
                io.Image.Input(
                    "portrait",
                    optional=True,
                    tooltip=f"The portrait from Segment Reference. {labels_with(aligns_driver)} lay the "
                    "driver's face onto its face; without a video it drives itself.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Speech that drives without a video: the clip is as long as this sound. Link it "
                    "to Encode Audio by way of this node's output.",
                ),
                types.Motion.Input(
                    "amplitude",
                    optional=True,
                    tooltip="From Motion Amplitude: head motion, and blinking and swaying without a video.",
                ),
                widget(CropOptions, "crop", "driving frames"),
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
                *widgets(DrivingOptions, "driving_mode"),
                widget(DrivingOptions, "lost", advanced=False),
                *widgets(FrameOptions, "start", "stop"),
                widget(MotionOptions, "frame_rate", "of images; a video has its own.", advanced=True),
                *widgets(CropOptions, "face"),
                *widgets(DrivingOptions, "smoothing"),
                *widgets(SamplingOptions, "size"),
                widget(DrivingOptions, "best_frame", optional=True),
                widget(DrivingOptions, "fixed_patches", optional=True),
                widget(
                    SamplingOptions,
                    "seed",
                    control_after_generate=False,  # the page adds it to any seed; each run would look anew
                    optional=True,
                    advanced=True,
                    tooltip="When the portrait blinks and how it sways, where it drives itself.",
                ),
            ],
            outputs=[
                io.Image.Output("condition", tooltip="One picture per frame, for Encode Driving."),
                io.Float.Output(
                    "frame_rate_out",
                    display_name="frame_rate",
                    tooltip="Frames per second, for Create Video.",
                ),
                io.Audio.Output(
                    "audio",
                    tooltip="The sound of the frames used, for Create Video and Encode Audio; none where "
                    "there is none.",
                ),
                io.String.Output("report", tooltip="The frames used, and which of them show no face."),
                io.Int.Output("num_frames", tooltip="How many frames are used; the result has as many."),
                io.Image.Output(
                    "patches",
                    tooltip=f"{labels_with(has_controls)}: eyes and mouth of every frame, for Encode "
                    "Driving; else none.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        return check_family(cls.hidden.unique_id, _check)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        from .host.faces import detector_stamp

        return detector_stamp()

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        video: Input.Video | None = None,
        images: Tensor | None = None,
        portrait: Tensor | None = None,
        audio: Input.Audio | None = None,
        amplitude: Motion | None = None,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        portrait_landmarks: Any = None,
        **values: Any,
    ) -> io.NodeOutput:
        from .host.images import to_image
        from .host.preprocess_driver import DriverOptions, LinkedFaces, preprocess_driver, preprocess_still
        from .host.video import audio_of, one_driver, spoken_clip

        sampling = take_options(SamplingOptions, values)
        frame_rate = take_options(MotionOptions, values).frame_rate
        options = DriverOptions(
            crops=take_options(CropOptions, values),
            driving=take_options(DrivingOptions, values),
            frames=take_frames(values),
            size=sampling.size,
            motion=amplitude or Motion(),
            seed=sampling.seed,
        )
        if video is None and images is None and portrait is not None:
            clip = spoken_clip(audio, frame_rate, options.frames)
            look = preprocess_still(model.config, portrait, clip, options, portrait_landmarks)
            sound = audio_of(clip)
        else:
            source = one_driver(video, images, frame_rate, audio)
            linked = LinkedFaces(bounding_boxes, face_landmarks, portrait_landmarks)
            look = preprocess_driver(model.config, source, options, linked=linked, portrait=portrait)
            sound = audio_of(look.prepared.source)
        return io.NodeOutput(
            look.condition,
            float(look.prepared.source.frame_rate),
            sound,
            look.report,
            look.prepared.num_frames,
            look.patches,
            ui=ui.PreviewImage(to_image(look.strip)),
        )


def _check(config: ModelConfig, inputs: Inputs) -> None:
    from ..megactor_core.errors import InputError

    check_shown(config, inputs)
    hears = config.audio_encoder is not None
    if not {"video", "images"} & inputs.keys() and not (hears and "portrait" in inputs):
        remedy = "Link video, or a batch to images" + (
            "; or portrait and audio, which drive alone" if hears else ""
        )
        raise InputError("video", "nothing is linked that could drive", remedy)
