"""ControlNet: half a UNet that turns a picture per frame into what is added to the denoiser's skips."""

from __future__ import annotations

from collections.abc import Mapping

from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn

from ..attention import Pass
from ..denoiser import Control, KeyValues
from ..recompute import call
from .config import HINT_CHANNELS, UNetConfig
from .unet_encoder import UNetEncoder


class ControlNet(UNetEncoder):
    """ControlNet v1.0 (Zhang et al. 2023) with diffusers' key names.

    Its hint features depend on the hint alone: a sampler encodes them once per clip.
    """

    gradient_checkpointing = False

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.controlnet_cond_embedding = ControlNetConditioningEmbedding(
            config.block_out_channels[0], block_out_channels=HINT_CHANNELS
        )
        self.controlnet_down_blocks = nn.ModuleList([_zero_convolution(width) for width in self.skip_widths])
        self.controlnet_mid_block = _zero_convolution(config.block_out_channels[-1])

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory while training; hints count too, at the pictures' resolution."""
        super().set_gradient_checkpointing(enabled)
        self.gradient_checkpointing = enabled

    def hint_features(self, hints: Tensor) -> Tensor:
        """Features ``(frames, width, h, w)`` of hints ``(frames, 3, 8 h, 8 w)`` in the range of training.

        X-Portrait trained on [-1, 1], stock ControlNets on [0, 1].
        """
        return call(self.controlnet_cond_embedding, hints, recompute=self.gradient_checkpointing)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        context: Mapping[str, KeyValues],
        hint_features: Tensor,
    ) -> Control:
        """Residuals to add to the denoiser's skips and middle.

        Args:
            sample: noisy latents, ``(frames, channels, h, w)``.
            timestep: ``(1,)``.
            context: from ``context_keys_values``.
            hint_features: from ``hint_features``, ``(frames, width, h, w)``.
        """
        shared = Pass(num_frames=1, embedding=self.embed_time(timestep, sample.dtype), context=context)
        hidden_states, skips = self.encode(sample, shared, hint_features)
        outputs = (layer(skip) for layer, skip in zip(self.controlnet_down_blocks, skips, strict=True))
        return Control(tuple(outputs), self.controlnet_mid_block(hidden_states))


def _zero_convolution(width: int) -> nn.Conv2d:
    layer = nn.Conv2d(width, width, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
