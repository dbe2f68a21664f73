"""Spatial attention: transformer blocks that also read reference tokens.

Tensors flow as ``(rows * frames, channels, height, width)``. A *row* is one clip of the batch: in guided
sampling the unconditional row comes first and the conditional row last; in training a row is a sample.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from ..attention import ConditionedAttention, Pass, feed_forward, repeat_rows


def add_control(hidden_states: Tensor, residual: Tensor, shared: Pass) -> Tensor:
    """Add what ControlNets say to the rows that read; the others stay as they are."""
    reading = shared.conditional_rows * shared.num_frames
    plain = shared.rows * shared.num_frames - reading
    if not plain:
        batch = max(hidden_states.shape[0], residual.shape[0])
        return repeat_rows(hidden_states, batch) + repeat_rows(residual, batch)
    hidden_states = repeat_rows(hidden_states, plain + reading)
    return torch.cat([hidden_states[:plain], hidden_states[plain:] + repeat_rows(residual, reading)])


class TransformerBlock(ConditionedAttention, BasicTransformerBlock):
    """SD1.5 transformer block: self-attention that can read or write reference tokens, context, sound, GEGLU.

    Reading rows take keys and values from their own tokens and the reference's, own first (MegActor, arXiv
    2405.20851, after MagicAnimate's appearance encoder). With a width of audio tokens, every frame attends to
    those of its own moment (MegActor-Sigma, arXiv 2408.14975).
    """

    def __init__(self, name: str, width: int, heads: int, context_dim: int, audio_dim: int = 0) -> None:
        super().__init__(width, heads, width // heads, cross_attention_dim=context_dim)
        self.name = name
        self._make_hearing(audio_dim)

    def forward(self, tokens: Tensor, shared: Pass) -> Tensor:
        """``(rows * frames, tokens, width)`` in; out the same, with all rows if this block parts them."""
        normed = self.norm1(tokens)
        if shared.written is not None:
            shared.written[self.name] = normed
        attended = self._self_attention(normed, shared)
        tokens = self.attn1.to_out[0](attended) + repeat_rows(tokens, attended.shape[0])
        tokens = tokens + self._context_attention(self.norm2(tokens), shared.context[self.name])
        tokens = self._hear(tokens, shared)
        return tokens + feed_forward(self.ff, self.norm3(tokens))


class SpatialTransformer(nn.Module):
    """GroupNorm per frame, 1x1 convolution, one transformer block, 1x1 convolution, residual."""

    def __init__(
        self, name: str, width: int, heads: int, context_dim: int, groups: int, audio_dim: int = 0
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(f"{name}.transformer_blocks.0", width, heads, context_dim, audio_dim)]
        )
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        height, width = hidden_states.shape[-2:]
        tokens = self.proj_in(self.norm(hidden_states)).permute(0, 2, 3, 1).flatten(1, 2)
        tokens = self.transformer_blocks[0](tokens, shared)
        output = self.proj_out(tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2))
        return output + repeat_rows(hidden_states, output.shape[0])


class _OnlyFirstNorm(nn.Module):
    """A transformer block of which nothing but its first norm is left."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm1(tokens)


class ReferenceTap(nn.Module):
    """Last attention of the reference network: nothing after its first norm is ever used."""

    def __init__(self, name: str, width: int, groups: int) -> None:
        super().__init__()
        self.name = f"{name}.transformer_blocks.0"
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([_OnlyFirstNorm(width)])

    def forward(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        tokens = self.proj_in(self.norm(hidden_states)).permute(0, 2, 3, 1).flatten(1, 2)
        assert shared.written is not None
        shared.written[self.name] = self.transformer_blocks[0](tokens)
        return hidden_states
