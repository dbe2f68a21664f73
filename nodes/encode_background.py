"""Node: the background picture as the denoiser's condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..megactor_core.families.features import reads_background
from ..megactor_core.families.registry import labels_with
from . import types
from .family_checks import check_family

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel
    from torch import Tensor

    from .host.portrait_model import PortraitModel


class EncodeBackground(io.ComfyNode):
    """Background picture in, tokens out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        others = labels_with(lambda config: not reads_background(config))
        return io.Schema(
            node_id="MegActorEncodeBackground",
            display_name="Encode Background",
            category="MegActor",
            description="Encodes what is behind the person as image tokens, which the denoiser reads for "
            f"every frame. For {labels_with(reads_background)}; {others} read no background.",
            search_aliases=["megactor background", "clip vision encode", "image tokens"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                io.Image.Input(
                    "background",
                    tooltip="The portrait with the person blacked out, from Segment Reference.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Another image encoder; the official model reads any CLIP ViT-L/14 of Load CLIP "
                    "Vision. Without it the model's own is used.",
                ),
            ],
            outputs=[
                types.Background.Output(
                    "background_out",
                    display_name="background",
                    tooltip="Its tokens, for Sample MegActor Clip or Apply MegActor.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        from ..megactor_core.animation.checks import check_background

        return check_family(cls.hidden.unique_id, lambda config, _: check_background(config, given=True))

    @classmethod
    def execute(
        cls, model: PortraitModel, background: Tensor, clip_vision: ClipVisionModel | None = None
    ) -> io.NodeOutput:
        from .host.encoding import encode_background

        return io.NodeOutput(encode_background(model, background, clip_vision or model.clip_vision))
