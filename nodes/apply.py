"""Node: the portrait model as a native MODEL with its conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..megactor_core.animation.options import SamplingOptions
from .family_checks import check_family, check_sampled
from .sampling_inputs import PARTS, clip_parts, context_inputs, parts_inputs, sampling_settings
from .widgets import later_widgets

if TYPE_CHECKING:
    from .host.portrait_model import PortraitModel


class ApplyMegActor(io.ComfyNode):
    """Conditions in, everything a stock sampler needs out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorApply",
            display_name="Apply MegActor",
            category="MegActor",
            description="Makes the portrait model a native MODEL: KSampler, SamplerCustomAdvanced, LoRA "
            "loaders, context windows, EasyCache and torch.compile work on it. Long clips are denoised in "
            "the model's own windows unless a Context Windows node says otherwise.",
            search_aliases=["megactor apply", "native model", "ksampler portrait", "portrait conditioning"],
            inputs=[
                *parts_inputs(),
                *context_inputs(),
                *later_widgets("Apply MegActor", SamplingOptions),
            ],
            outputs=[
                io.Model.Output("model_out", display_name="model", tooltip="For any sampler of the host."),
                io.Conditioning.Output("positive", tooltip="The clip with the portrait."),
                io.Conditioning.Output(
                    "negative", tooltip="The clip without the portrait. It has no effect at cfg 1."
                ),
                io.Latent.Output("latent", tooltip="Empty latents, one per driving frame."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        return check_family(cls.hidden.unique_id, check_sampled)

    @classmethod
    def execute(cls, model: PortraitModel, **inputs: Any) -> io.NodeOutput:
        from .host.native_clip import native_clip

        parts = clip_parts(**{name: inputs.pop(name) for name in PARTS & inputs.keys()})
        return io.NodeOutput(*native_clip(model, parts, sampling_settings(model.config, **inputs)))
