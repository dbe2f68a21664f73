"""Blocks of the diffusion transformer: modulated by the timestep, over the tokens of a frame or over frames.

Tokens flow as ``(rows * frames, tokens, width)``, see ``models.attention``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_1d_sincos_pos_embed_from_grid
from torch import Tensor, nn

from ..attention import (
    ConditionedAttention,
    Pass,
    feed_forward,
    repeat_rows,
    self_attend,
)
from .config import DiTConfig


class ModulationTable(nn.Embedding):
    """Learnt scales and shifts of a layer, to which the timestep's are added (PixArt's adaLN-single).

    All its rows are looked up at once: as an embedding, hosts move and cast it like any other layer.
    """

    def __init__(self, parts: int, width: int) -> None:
        super().__init__(parts, width)
        nn.init.normal_(self.weight, 0, width**-0.5)

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Its parts ``(n, 1, width)`` for embeddings ``(n, width of all parts or more)``."""
        parts, width = self.num_embeddings, self.embedding_dim
        table = super().forward(torch.arange(parts, device=embedding.device))
        modulation = embedding[:, : parts * width].unflatten(1, (parts, width))
        return (modulation + table)[:, :, None].unbind(1)


def normalise(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Tokens of mean 0 and deviation 1, scaled and shifted by one for all or one per frame and row."""
    normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
    return normed * (1 + _for_all(scale, tokens)) + _for_all(shift, tokens)


def _for_all(part: Tensor, tokens: Tensor) -> Tensor:
    """Where one serves all it stays one."""
    return part if part.shape[0] == 1 else repeat_rows(part, tokens.shape[0])


class _Block(ABC, nn.Module):
    """Self-attention and feed-forward layer, each gated, between modulated norms."""

    def __init__(self, name: str, config: DiTConfig) -> None:
        super().__init__()
        self.name = name
        heads, head_dim = config.num_attention_heads, config.attention_head_dim
        self.attn1 = Attention(config.width, heads=heads, dim_head=head_dim, bias=True)
        self.ff = FeedForward(config.width, activation_fn="gelu-approximate")
        self.scale_shift_table = ModulationTable(6, config.width)

    def forward(self, tokens: Tensor, shared: Pass) -> Tensor:
        """``(rows * frames, tokens, width)`` in; out the same, with all rows if this block parts them."""
        shift, scale, gate, *of_feed_forward = self.scale_shift_table(shared.embedding)
        normed = normalise(tokens, scale, shift)
        if shared.written is not None:
            shared.written[self.name] = normed
        attended = self.attn1.to_out[0](self.attend_to_each_other(normed, shared))
        tokens = repeat_rows(tokens, attended.shape[0]) + _for_all(gate, attended) * attended
        tokens = self.attend_to_conditions(tokens, shared)
        shift, scale, gate = of_feed_forward
        return tokens + _for_all(gate, tokens) * feed_forward(self.ff, normalise(tokens, scale, shift))

    @abstractmethod
    def attend_to_each_other(self, normed: Tensor, shared: Pass) -> Tensor:
        """Self-attention before its output layer."""

    def attend_to_conditions(self, tokens: Tensor, shared: Pass) -> Tensor:
        """Tokens and what they read of the clip's conditions."""
        return tokens


class SpatialBlock(ConditionedAttention, _Block):
    """Attention of a frame's tokens to each other and the reference, then to the context and the sound.

    As in PixArt-alpha (arXiv 2310.00426) nothing is normalised before the context. Attention to the sound
    begins as nothing.
    """

    def __init__(self, name: str, config: DiTConfig, hears: bool) -> None:
        super().__init__(name, config)
        width, heads, head_dim = config.width, config.num_attention_heads, config.attention_head_dim
        self.attn2 = Attention(
            width, cross_attention_dim=config.cross_attention_dim, heads=heads, dim_head=head_dim, bias=True
        )
        self._make_hearing(config.audio_dim if hears else 0)

    def attend_to_each_other(self, normed: Tensor, shared: Pass) -> Tensor:
        return self._self_attention(normed, shared)

    def attend_to_conditions(self, tokens: Tensor, shared: Pass) -> Tensor:
        return self._hear(tokens + self._context_attention(tokens, shared.context[self.name]), shared)


class TemporalBlock(_Block):
    """Attention of the tokens at one place to each other over the frames (Latte, arXiv 2401.03048).

    A fresh one adds nothing: its gates depend on the timestep, so that its output layers are zero. The
    frames' positions, which come before the first, are not without effect.
    """

    def __init__(self, name: str, config: DiTConfig) -> None:
        super().__init__(name, config)
        for layer in (self.attn1.to_out[0], self.ff.net[2]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def attend_to_each_other(self, normed: Tensor, shared: Pass) -> Tensor:
        places = normed.unflatten(0, (-1, shared.num_frames)).transpose(1, 2)
        attended = self_attend(self.attn1, places.flatten(0, 1))
        return attended.view(places.shape).transpose(1, 2).flatten(0, 1)


def with_frame_positions(tokens: Tensor, num_frames: int) -> Tensor:
    """Tokens ``(rows * frames, tokens, width)`` that know their frame, unless it is the only one."""
    if num_frames == 1:
        return tokens
    table = get_1d_sincos_pos_embed_from_grid(
        tokens.shape[-1], torch.arange(num_frames, device=tokens.device), output_type="pt"
    )
    return tokens + repeat_rows(table.to(tokens)[:, None], tokens.shape[0])


class WrittenBlock(nn.Module):
    """Last block of a reference network: nothing behind its first norm is ever read."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self.name = name
        self.scale_shift_table = ModulationTable(6, width)

    def forward(self, tokens: Tensor, shared: Pass) -> Tensor:
        shift, scale, *_ = self.scale_shift_table(shared.embedding)
        assert shared.written is not None
        shared.written[self.name] = normalise(tokens, scale, shift)
        return tokens
