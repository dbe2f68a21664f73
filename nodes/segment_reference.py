"""Node: cut the portrait out of a picture and part the person from the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io, ui

from ..megactor_core.animation.options import CropOptions, SamplingOptions
from . import types
from .picture_inputs import FaceLandmarks, mask_input
from .widgets import take_options, widget, widgets

if TYPE_CHECKING:
    from torch import Tensor

    from .host.portrait_model import PortraitModel


class SegmentReference(io.ComfyNode):
    """Picture in; portrait, person, background and the way back out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorSegmentReference",
            display_name="Segment Reference",
            category="MegActor",
            description="Cuts the portrait's square out of a picture and parts the person from the "
            "background. Shows the square in the picture, and beside it what counts as the person.",
            search_aliases=["portrait crop", "face crop", "person mask", "crop face", "megactor portrait"],
            has_intermediate_output=True,
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model; it decides the square's size."),
                io.Image.Input("image", tooltip="One picture of the person to animate."),
                widget(CropOptions, "crop", "picture"),
                mask_input(),
                io.BoundingBox.Input(
                    "bounding_box",
                    optional=True,
                    force_input=True,
                    tooltip="Where the face is, or several faces to choose from; any node that gives boxes.",
                ),
                FaceLandmarks.Input(
                    "face_landmarks",
                    optional=True,
                    tooltip="The picture's faces from Detect Face Landmarks; used where no boxes are linked.",
                ),
                *widgets(CropOptions, "face"),
                *widgets(SamplingOptions, "size"),
            ],
            outputs=[
                io.Image.Output("portrait", tooltip="The square, for Encode Reference."),
                io.Mask.Output(
                    "foreground", tooltip="Where the person is in the square, for Encode Reference."
                ),
                io.Image.Output(
                    "background", tooltip="The square with the person blacked out, for Encode Background."
                ),
                types.Crop.Output("crop", tooltip="Where the square was cut out, for Paste Back."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        from .host.faces import detector_stamp
        from .host.people import segmenter_stamp

        return detector_stamp(), segmenter_stamp()

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        image: Tensor,
        mask: Tensor | None = None,
        bounding_box: Any = None,
        face_landmarks: Any = None,
        **values: Any,
    ) -> io.NodeOutput:
        from ..megactor_core.media.contact_sheet import crop_preview
        from ..megactor_core.vision.foreground import background_image
        from .host.images import to_image, to_mask
        from .host.preprocess_portrait import preprocess_portrait

        portrait = preprocess_portrait(
            model.config,
            image,
            crops=take_options(CropOptions, values),
            size=take_options(SamplingOptions, values).size,
            mask=mask,
            bounding_boxes=bounding_box,
            face_landmarks=face_landmarks,
        )
        preview = crop_preview(portrait.original, portrait.crop.box, portrait.picture, portrait.foreground)
        return io.NodeOutput(
            to_image(portrait.pixels),
            to_mask(portrait.foreground),
            to_image(background_image(portrait.picture, portrait.foreground)),
            portrait.crop,
            ui=ui.PreviewImage(to_image(preview)),
        )
