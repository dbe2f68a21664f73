"""Node: sample a clip with the pack's own sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import types
from .sampling_inputs import sampling_inputs, sampling_settings

if TYPE_CHECKING:
    from ..megactor_core.conditioning.conditions import (
        BackgroundCondition,
        DrivingFeatures,
        ReferenceCondition,
    )
    from .host.portrait_model import PortraitModel


class MegActorSampler(io.ComfyNode):
    """Conditions in, latents of the clip out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorSampler",
            display_name="Sample MegActor Clip",
            category="MegActor",
            description="Denoises the whole clip, window by window, and shows it while it takes shape. Work "
            "that windows and guidance have in common is done once.",
            search_aliases=["megactor sampler", "ksampler", "denoise", "portrait animation", "talking head"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                types.Reference.Input("reference", tooltip="The portrait, from Encode Reference."),
                types.Background.Input("background", tooltip="From Encode Background."),
                types.Driving.Input("driving", tooltip="The motion, from Encode Driving."),
                *sampling_inputs(),
            ],
            outputs=[
                io.Latent.Output(
                    "latent", tooltip="One latent per driving frame, for VAE Decode with the model's VAE."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        reference: ReferenceCondition,
        background: BackgroundCondition,
        driving: DrivingFeatures,
        **widgets: Any,
    ) -> io.NodeOutput:
        from .host.sampling import sample_clip

        settings = sampling_settings(model.config, **widgets)
        return io.NodeOutput({"samples": sample_clip(model, reference, background, driving, settings)})
