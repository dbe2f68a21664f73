"""Configuration of the SD1.5-shaped UNets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ..fields import Count, Depth, Size, Widths, check_heads


@dataclass(frozen=True)
class UNetConfig:
    """SD1.5-shaped UNet, inflated over frames where it has motion modules.

    Attributes:
        in_channels: channels that enter ``conv_in`` (noisy latent first, then the static conditions).
        out_channels: channels of the prediction; 0 leaves the output norm and convolution out.
        block_out_channels: width of each resolution level.
        attention_levels: per down level, whether it has spatial transformers; up levels mirror it.
        layers_per_block: residual blocks of a down level; an up level has one more.
        num_attention_heads: heads of every attention, spatial and temporal.
        cross_attention_dim: width of the context tokens.
        norm_num_groups: groups of every GroupNorm.
        norm_over_frames: whether residual blocks and the output norm share their statistics over the frames
            of a window (MegActor); otherwise every frame has its own (X-Portrait).
        motion_modules: whether down and up levels carry temporal modules.
        motion_in_middle: whether the middle level carries one too (MegActor-Sigma).
        motion_after_upsampler: whether an up level's last temporal module runs after its upsampler, at double
            the resolution (X-Portrait).
        motion_max_positions: length of the temporal position table, hence the longest window in frames.
        audio_dim: width of the audio tokens that every spatial transformer block attends to; 0 = none.
        reading_levels: which transformer blocks read the reference, and which the reference network writes:
            those of the middle and up levels, or all.
    """

    in_channels: Size = 13
    out_channels: Count = 4
    block_out_channels: Widths = (320, 640, 1280, 1280)
    attention_levels: Annotated[tuple[bool, ...], Field(max_length=8)] = (True, True, True, False)
    layers_per_block: Depth = 2
    num_attention_heads: Size = 8
    cross_attention_dim: Size = 768
    norm_num_groups: Size = 32
    norm_over_frames: bool = True
    motion_modules: bool = True
    motion_in_middle: bool = False
    motion_after_upsampler: bool = False
    motion_max_positions: Size = 32
    audio_dim: Count = 0
    reading_levels: Literal["mid_up", "all"] = "mid_up"

    def __post_init__(self) -> None:
        check_heads(self.num_attention_heads, self.block_out_channels)

    def reads(self, block: str) -> bool:
        """Whether the transformer block of this name reads (or, in a reference network, writes) tokens."""
        return self.reading_levels == "all" or not block.startswith("down_blocks")

    def hidden_values(self, cells: int) -> int:
        """Numbers in a hidden state of so many latent cells at full resolution: a measure of memory."""
        return cells * self.block_out_channels[0]

    def audio_values(self, tokens: int) -> int:
        """Numbers in the keys and values of so many audio tokens, which every transformer block keeps."""
        if not self.audio_dim:
            return 0
        levels = zip(self.block_out_channels, self.attention_levels, strict=True)
        widths = sum(width * (2 * self.layers_per_block + 1) for width, attends in levels if attends)
        return 2 * tokens * (widths + self.block_out_channels[-1])
