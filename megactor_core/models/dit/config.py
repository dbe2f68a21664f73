"""Configuration of the diffusion transformer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..denoiser_config import FEED_FORWARD_TOKENS
from ..fields import STRICT, Count, Depth, Size

MOTION_INTERVAL = 2
"""Blocks to each of AnimateDiff's temporal modules."""
MOTION_GROUPS = 32
"""Groups of their norm."""

# Hidden states of all tokens that are held at most: in attention, which copies the reference's keys and
# values to every frame; before a feed-forward layer; and in that one, of the tokens that pass it together.
_IN_ATTENTION, _BEFORE_FEED_FORWARD, _IN_FEED_FORWARD = 10, 6, 8


@dataclass(frozen=True)
class DiTConfig:
    """Diffusion transformer of PixArt-alpha's shape, over frames where it has temporal blocks.

    The names are those of diffusers' ``PixArtTransformer2DModel`` and ``LatteTransformer3DModel``.

    Attributes:
        in_channels: channels that enter the patch embedding (noisy latent first, then the driver).
        out_channels: channels of the prediction; 0 leaves the output layers out, and of the last block all
            behind its first norm (a reference network).
        patch_size: latent cells along a side of a token.
        num_layers: transformer blocks.
        num_attention_heads, attention_head_dim: heads of every attention and the width of each; their product
            is the width of the tokens.
        cross_attention_dim: width of the context tokens.
        sample_size: latent cells along a side at which positions count one per token; pictures of other sizes
            and aspects are spread over the same range.
        temporal_blocks: what attends to the frames: after every block one of Latte's, after every second the
            temporal modules of the other families (AnimateDiff's), or nothing.
        motion_max_positions: length of the temporal position table, hence the longest window in frames.
        audio_dim: width of the audio tokens; 0 = none.
        audio_interval: one block in so many hears, the first among them.
        first_reading_block: from this one on blocks read the reference, and those of the reference network
            write it.
    """

    __pydantic_config__ = STRICT

    kind: Literal["dit"] = "dit"
    in_channels: Size = 8
    out_channels: Count = 4
    patch_size: Size = 2
    num_layers: Depth = 28
    num_attention_heads: Size = 16
    attention_head_dim: Size = 72
    cross_attention_dim: Size = 1152
    sample_size: Size = 64
    temporal_blocks: Literal["latte", "motion", "none"] = "latte"
    motion_max_positions: Size = 16
    audio_dim: Count = 0
    audio_interval: Size = 1
    first_reading_block: Count = 12

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"tokens of a width of {self.width}: positions need a multiple of 4")

    @property
    def width(self) -> int:
        """Width of the tokens."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def cells_per_token(self) -> int:
        """Latent cells that a token stands for."""
        return self.patch_size**2

    @property
    def hearing_blocks(self) -> range:
        """Numbers of the blocks that attend to the sound."""
        return range(0, self.num_layers if self.audio_dim else 0, self.audio_interval)

    def reads(self, block: str) -> bool:
        """Whether the block of this name reads (or, in a reference network, writes) tokens."""
        return int(block.rpartition(".")[2]) >= self.first_reading_block

    def tiny(self, cross_attention_dim: int, audio_dim: int) -> DiTConfig:
        """See ``ReferenceConfig``."""
        return replace(
            self,
            num_layers=3,
            num_attention_heads=2,
            attention_head_dim=16,
            cross_attention_dim=cross_attention_dim,
            sample_size=8,
            audio_dim=audio_dim if self.audio_dim else 0,
            first_reading_block=1,
        )

    def activation_values(self, cells: int) -> int:
        """See ``DenoiserConfig``."""
        tokens = cells // self.cells_per_token
        together = min(tokens, FEED_FORWARD_TOKENS)
        in_feed_forward = _BEFORE_FEED_FORWARD * tokens + _IN_FEED_FORWARD * together
        return self.width * max(_IN_ATTENTION * tokens, in_feed_forward)

    def audio_values(self, tokens: int) -> int:
        """See ``DenoiserConfig``."""
        return 2 * tokens * self.width * len(self.hearing_blocks)
