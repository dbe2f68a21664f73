"""Motion modules: attention over the frames of a window (AnimateDiff v3 layout, Guo et al. 2023)."""

from __future__ import annotations

import math

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from .attention import Pass, feed_forward, self_attend


class PositionTable(nn.Module):
    """Sinusoidal table ``pe`` (1, positions, width): sine on even, cosine on odd channels, base 10000."""

    pe: Tensor

    def __init__(self, width: int, positions: int) -> None:
        super().__init__()
        position = torch.arange(positions, dtype=torch.float32)[:, None]
        frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
        table = torch.zeros(1, positions, width)
        table[0, :, 0::2] = torch.sin(position * frequency)
        table[0, :, 1::2] = torch.cos(position * frequency)
        self.register_buffer("pe", table)

    def forward(self, tokens: Tensor) -> Tensor:
        """Add the table to ``(n, frames, width)``."""
        return tokens + self.pe[:, : tokens.shape[1]].to(tokens)


class TemporalAttention(Attention):
    """Self-attention over frames; the position table enters after the norm and so reaches q, k and v."""

    def __init__(self, width: int, heads: int, positions: int) -> None:
        super().__init__(width, heads=heads, dim_head=width // heads)
        self.pos_encoder = PositionTable(width, positions)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(n, frames, width)`` -> the same."""
        return self.to_out[0](self_attend(self, self.pos_encoder(tokens)))


class TemporalBlock(nn.Module):
    """Twice norm and temporal attention, then norm and GEGLU, each with a residual."""

    def __init__(self, width: int, heads: int, positions: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(width, heads, positions) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.ff = FeedForward(width)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            tokens = tokens + attention(norm(tokens))
        return tokens + feed_forward(self.ff, self.ff_norm(tokens))


class TemporalTransformer(nn.Module):
    """GroupNorm per frame, linear, one temporal block, linear, residual."""

    def __init__(self, width: int, heads: int, positions: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(width, heads, positions)])
        self.proj_out = nn.Linear(width, width)

    def forward(self, hidden_states: Tensor, num_frames: int) -> Tensor:
        height, width = hidden_states.shape[-2:]
        tokens = self.norm(hidden_states).permute(0, 2, 3, 1).unflatten(0, (-1, num_frames))
        tokens = tokens.flatten(2, 3).transpose(1, 2).flatten(0, 1)  # one sequence of frames per pixel
        tokens = self.proj_out(self.transformer_blocks[0](self.proj_in(tokens)))
        tokens = tokens.unflatten(0, (-1, height * width)).transpose(1, 2).flatten(0, 1)
        return hidden_states + tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


class MotionModule(nn.Module):
    """A temporal transformer under its official name; it starts as the identity."""

    def __init__(self, width: int, heads: int, positions: int, groups: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(width, heads, positions, groups)
        nn.init.zeros_(self.temporal_transformer.proj_out.weight)
        nn.init.zeros_(self.temporal_transformer.proj_out.bias)

    def forward(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        """``(rows * frames, channels, height, width)`` -> the same; nothing happens where motion is off."""
        if not shared.motion:
            return hidden_states
        return self.temporal_transformer(hidden_states, shared.num_frames)
