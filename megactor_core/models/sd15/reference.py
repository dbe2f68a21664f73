"""The reference network: a 2-D SD1.5 UNet whose tokens carry the identity into the denoiser."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..attention import Pass
from ..denoiser import KeyValues
from .blocks import UpLevel, end_in_reference_tap
from .config import UNetConfig
from .unet import UNetTrunk


class ReferenceNetwork(UNetTrunk):
    """Writes the normalised tokens of the transformer blocks that its config says.

    Its last attention ends after the first norm, as in the official checkpoint: nothing later is used.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        last = len(self.up_blocks) - 1
        level = self.up_blocks[last]
        assert isinstance(level, UpLevel)
        end_in_reference_tap(level, f"up_blocks.{last}", config)

    def forward(
        self, latents: Tensor, timestep: Tensor, context: Mapping[str, KeyValues]
    ) -> dict[str, Tensor]:
        """Reference tokens at a timestep.

        Args:
            latents: scaled posterior mean of the reference picture, ``(rows, channels, height, width)``.
            timestep: the current denoising timestep, ``(1,)`` or ``(rows,)``.
            context: from ``context_keys_values``.

        Returns:
            ``{block name: (rows, tokens, width)}`` for the denoiser's ``reference_keys_values``.
        """
        embedding = self.embed_time(timestep, latents.dtype)
        written: dict[str, Tensor] = {}
        shared = Pass(1, embedding, context=context, rows=latents.shape[0], written=written)
        self.trunk(latents, shared)
        return {name: tokens for name, tokens in written.items() if self.config.reads(name)}
