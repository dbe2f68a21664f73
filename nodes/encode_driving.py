"""Node: driving frames as the denoiser's condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..megactor_core.families.features import has_controls
from ..megactor_core.families.registry import labels_with
from . import types
from .family_checks import check_family

if TYPE_CHECKING:
    from torch import Tensor

    from ..megactor_core.models.config import ModelConfig
    from .host.linked_model import Inputs
    from .host.portrait_model import PortraitModel


class EncodeDriving(io.ComfyNode):
    """Condition frames in, features out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorEncodeDriving",
            display_name="Encode Driving",
            category="MegActor",
            description="Encodes the motion of the driving frames. It knows nothing of the portrait, so that "
            "another portrait is animated without encoding the driver again.",
            search_aliases=["megactor driving", "motion encode", "driver"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                io.Image.Input("condition", tooltip="What is shown of the driver, from Prepare Driving."),
                io.Image.Input(
                    "patches",
                    optional=True,
                    tooltip="The driver's eyes and mouth, from Prepare Driving, for "
                    f"{labels_with(has_controls)}.",
                ),
            ],
            outputs=[
                types.Driving.Output(
                    "driving", tooltip="The motion, for Sample MegActor Clip or Apply MegActor."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        return check_family(cls.hidden.unique_id, _check)

    @classmethod
    def execute(cls, model: PortraitModel, condition: Tensor, patches: Tensor | None = None) -> io.NodeOutput:
        from .host.encoding import encode_driving

        return io.NodeOutput(encode_driving(model, condition, patches))


def _check(config: ModelConfig, inputs: Inputs) -> None:
    from ..megactor_core.animation.checks import check_patches

    if "patches" not in inputs:  # Prepare Driving gives none where the model takes none
        check_patches(config, given=False)
