"""Configuration of the SD1.5-shaped UNets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..fields import STRICT, Count, Depth, Size, Widths, check_heads

# Hidden states of full resolution that a row holds at most; measured with benchmarks/full_size_step.py, which
# prints the peak.
_HIDDEN_STATES = 24

HINT_CHANNELS = (16, 32, 96, 256)
"""Widths of the convolutions that bring a hint to the latents' size, as in every ControlNet of SD1.5."""


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

    __pydantic_config__ = STRICT
    # no fields: the configurations of published models do not say them
    kind: ClassVar[str] = "unet"
    patch_size: ClassVar[int] = 1

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

    def tiny(self, cross_attention_dim: int, audio_dim: int) -> UNetConfig:
        """See ``ReferenceConfig``."""
        return replace(
            self,
            block_out_channels=(8, 16),
            attention_levels=(True, True),
            layers_per_block=1,
            num_attention_heads=2,
            cross_attention_dim=cross_attention_dim,
            norm_num_groups=4,
            audio_dim=audio_dim if self.audio_dim else 0,
        )

    def activation_values(self, cells: int) -> int:
        """See ``DenoiserConfig``."""
        return _HIDDEN_STATES * cells * self.block_out_channels[0]

    def hint_feature_values(self, cells: int) -> int:
        """See ``ControlConfig``."""
        return cells * self.block_out_channels[0]

    def hint_activation_values(self, pixels: int) -> int:
        """See ``ControlConfig``: the first convolution's output, before and after its activation."""
        return 2 * pixels * HINT_CHANNELS[0]

    def audio_values(self, tokens: int) -> int:
        """See ``DenoiserConfig``: every transformer block keeps them."""
        if not self.audio_dim:
            return 0
        levels = zip(self.block_out_channels, self.attention_levels, strict=True)
        widths = sum(width * (2 * self.layers_per_block + 1) for width, attends in levels if attends)
        return 2 * tokens * (widths + self.block_out_channels[-1])
