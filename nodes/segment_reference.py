"""Node: cut the portrait out of a picture and part the person from the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from comfy_api.latest import io, ui

from . import types
from .looking_inputs import FaceLandmarks, crop_input, face_input, size_input

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
                crop_input("picture"),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the person is in the whole picture (white), for example from Remove "
                    "Background. Load Image's mask of a cut-out, which marks what is transparent, is "
                    "inverted. Without it the person is found.",
                ),
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
                face_input(),
                size_input(),
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
        crop: Literal["auto", "face", "whole", "squash"],
        face: int,
        size: int,
        mask: Tensor | None = None,
        bounding_box: Any = None,
        face_landmarks: Any = None,
    ) -> io.NodeOutput:
        from ..megactor_core.media.contact_sheet import crop_preview
        from ..megactor_core.vision.foreground import background_image
        from .host.images import to_image, to_mask
        from .host.look_portrait import look_at_portrait

        portrait = look_at_portrait(
            model.config,
            image,
            crop=crop,
            face=face,
            size=size,
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
