"""Node: a LoRA on a portrait model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..megactor_core.errors import InputError
from . import types

if TYPE_CHECKING:
    from .host.portrait_model import PortraitModel


class LoadMegActorLora(io.ComfyNode):
    """A model and a LoRA's name in; the model with it out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from .host.lora import list_loras

        return io.Schema(
            node_id="MegActorLoadLora",
            display_name="Load MegActor LoRA",
            category="MegActor",
            description="Adds a LoRA of Stable Diffusion 1.5 to a portrait model: a style, fewer steps (LCM, "
            "Hyper-SD) or AnimateDiff's motion, by the names of kohya, PEFT, diffusers and AnimateDiff. "
            "Several of these nodes can follow each other.",
            search_aliases=["megactor lora", "lora loader", "lcm lora", "hyper-sd", "motion lora"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model or another Load MegActor LoRA."),
                io.Combo.Input("lora", options=list_loras(), tooltip="A file of models/loras."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How much the LoRA counts. 1: as trained, 0: not at all, below 0: the opposite.",
                ),
            ],
            outputs=[
                types.Model.Output(
                    "model_out",
                    display_name="model",
                    tooltip="The model with the LoRA, for all nodes of this pack; the one that came in stays "
                    "as it is.",
                ),
                io.String.Output(
                    "report",
                    tooltip="How many layers the LoRA changes, and every name in its file that fits none.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, lora: str | None) -> bool | str:
        from .host.lora import lora_file

        try:
            if lora is not None:  # it comes from another node
                lora_file(lora)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, lora: str | None, **_: Any) -> str | None:
        from .host.lora import fingerprint

        return lora and fingerprint(lora)

    @classmethod
    def execute(cls, model: PortraitModel, lora: str, strength: float) -> io.NodeOutput:
        from .host.lora import add_lora, lora_file

        return io.NodeOutput(*add_lora(model, lora_file(lora), strength))
