"""The encoding half of an SD1.5-shaped UNet: what a whole UNet and a ControlNet have in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from ..attention import Pass
from ..conditioned import ConditionedNetwork
from .blocks import DownLevel, Level, MidLevel
from .config import UNetConfig


class UNetEncoder(ConditionedNetwork):
    """Input convolution, time embedding, down and middle levels under their SD1.5 names."""

    input_layer = "conv_in"

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.block_out_channels
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], widths[0] * 4)
        self.skip_widths, before = [widths[0]], widths[0]
        down: list[DownLevel] = []
        for i, (width, attention) in enumerate(zip(widths, config.attention_levels, strict=True)):
            down.append(DownLevel(config, f"down_blocks.{i}", before, width, attention, i < last))
            self.skip_widths += [width] * (config.layers_per_block + (i < last))
            before = width
        self.down_blocks = nn.ModuleList(down)
        self.mid_block = MidLevel(config, "mid_block", before)

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory while training."""
        for module in self.modules():
            if isinstance(module, Level):
                module.gradient_checkpointing = enabled

    def embed_time(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        """Activated time embedding ``(..., 4 * first width)`` in ``dtype`` of timesteps of any shape."""
        projected = self.time_proj(timestep.flatten()).to(dtype)
        return F.silu(self.time_embedding(projected)).unflatten(0, timestep.shape)

    def encode(
        self, hidden_states: Tensor, shared: Pass, hint_features: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Down and middle levels on ``(n, in_channels, height, width)``.

        Args:
            hidden_states: the input.
            shared: of this pass.
            hint_features: what a ControlNet adds after the input convolution.

        Returns:
            The middle's output, and the skip tensors in the order they were made.
        """
        if self.conv_in.weight.is_contiguous(memory_format=torch.channels_last):
            hidden_states = hidden_states.contiguous(memory_format=torch.channels_last)
        hidden_states = self.conv_in(hidden_states)
        if hint_features is not None:
            hidden_states = hidden_states + hint_features
        skips = [hidden_states]
        for level in self.down_blocks:
            hidden_states, new_skips = level(hidden_states, shared)
            skips += new_skips
        return self.mid_block(hidden_states, shared), skips
