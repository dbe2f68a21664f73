"""Node: sample a clip with the pack's own sampler."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..megactor_core.animation.options import SamplingOptions, StartOptions
from .family_checks import check_family, check_sampled
from .sampling_inputs import PARTS, clip_parts, parts_inputs, sampling_inputs, sampling_settings
from .widgets import later_widgets, tooltip

if TYPE_CHECKING:
    from torch import Tensor

    from ..megactor_core.models.config import ModelConfig
    from .host.linked_model import Inputs
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
                *parts_inputs(),
                io.Latent.Input("start_latent", optional=True, tooltip=tooltip(StartOptions, "start_video")),
                *sampling_inputs(),
                *later_widgets("Sample MegActor Clip", SamplingOptions),
            ],
            outputs=[
                io.Latent.Output(
                    "latent", tooltip="One latent per driving frame, for VAE Decode with the model's VAE."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        return check_family(cls.hidden.unique_id, _check)

    @classmethod
    def execute(
        cls, model: PortraitModel, start_latent: dict[str, Tensor] | None = None, **inputs: Any
    ) -> io.NodeOutput:
        from .host.sampling import sample_clip, start_of

        parts = clip_parts(**{name: inputs.pop(name) for name in PARTS & inputs.keys()})
        if start_latent is not None:
            parts = replace(parts, start=start_of(model, start_latent, parts.num_frames))
        settings = sampling_settings(model.config, **inputs)
        return io.NodeOutput({"samples": sample_clip(model, parts, settings)})


def _check(config: ModelConfig, inputs: Inputs) -> None:
    from ..megactor_core.animation.checks import check_start

    check_sampled(config, inputs)
    if "start_latent" in inputs:
        check_start(config, 1, 1, "start_latent")
