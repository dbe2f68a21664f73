"""Node: the portrait as the denoiser's condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import types

if TYPE_CHECKING:
    from comfy.sd import VAE
    from torch import Tensor

    from ..megactor_core.models.conditions import ReferenceCondition
    from .host.portrait_model import PortraitModel


class EncodeReference(io.ComfyNode):
    """Portrait and person in, reference condition out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorEncodeReference",
            display_name="Encode Reference",
            category="MegActor",
            description="Encodes the portrait: who is animated, and where the person is in the picture.",
            search_aliases=["megactor reference", "portrait encode", "identity", "appearance"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model."),
                io.Image.Input("portrait", tooltip="The square portrait, from Segment Reference."),
                io.Mask.Input(
                    "foreground",
                    tooltip="Where the person is in the portrait (white), from Segment Reference.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Another VAE of the same latent space, for example a finetune. Without it the "
                    "model's own is used.",
                ),
                io.Int.Input(
                    "seed",
                    default=42,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=False,  # the page adds it to any seed; each run would encode anew
                    advanced=True,
                    tooltip="Of the noise in the encoded portrait. It only matters for models that sample "
                    "the VAE's posterior, as the official MegActor does.",
                ),
                types.Reference.Input(
                    "more_references",
                    optional=True,
                    tooltip="Another picture of the same person, from another Encode Reference, which may "
                    "have more itself: the model looks at all of them.",
                ),
            ],
            outputs=[
                types.Reference.Output(
                    "reference", tooltip="The portrait, for Sample MegActor Clip or Apply MegActor."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: PortraitModel,
        portrait: Tensor,
        foreground: Tensor,
        seed: int,
        vae: VAE | None = None,
        more_references: ReferenceCondition | None = None,
    ) -> io.NodeOutput:
        from .host.encoding import encode_reference

        vae = vae or model.vae
        return io.NodeOutput(encode_reference(model, portrait, foreground, seed, vae, more_references))
