"""Attention to what a clip is given: shared by the transformer blocks of every denoiser.

Tensors flow as ``(rows * frames, tokens, width)``. A *row* is one clip of the batch: in guided sampling the
unconditional row comes first and the conditional row last; in training a row is a sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as attend

from .denoiser import Control, KeyValues
from .denoiser_config import FEED_FORWARD_TOKENS


@dataclass(frozen=True)
class Pass:
    """Values that all blocks of one forward pass share.

    Rows that do not read are told nothing of reference, sound and controls: guidance pulls away from them.

    Attributes:
        num_frames: frames of the window.
        embedding: activated time embedding, ``(1 or rows, width)``; ``(1 or rows, frames, width)`` where
            every frame has a timestep of its own.
        context: per transformer block, keys and values of the context tokens.
        reference: per reading block, keys and values of the reference tokens.
        reference_weight: factor of the attention weights of the reference's tokens before those of all tokens
            are made to add up to one; at 0 none is read.
        rows: rows of the output. While no block has made them differ, a single row is computed for all.
        conditional_rows: how many of the last rows hear the sound and obey the controls.
        reference_rows: how many of the last rows read the reference.
        audio: per block, keys and values of the sound of every frame, ``(1 or conditional rows * frames,
            heads, tokens, head_width)``. Rows that do not read hear tokens of zero.
        audio_weight: factor of the audio attention, one number or one per frame ``(frames,)``.
        control: what ControlNets add.
        motion: whether the temporal modules run.
        hidden: by the number of a level's tokens, 1 for those that tokens of 0 do not read,
            ``(rows, tokens)``; the batch has all rows then.
        sounding: likewise the factor of the sound attention of every token, ``(rows * frames, tokens)``.
        written: a dictionary in which every block of a reference network puts its normalised tokens by name;
            blocks return hidden states alone, so that gradient checkpointing and hosts' patches see usual
            ones.
    """

    num_frames: int
    embedding: Tensor
    context: Mapping[str, KeyValues]
    reference: Mapping[str, KeyValues] = field(default_factory=dict)
    reference_weight: float = 1.0
    rows: int = 1
    conditional_rows: int = 0
    reference_rows: int = 0
    audio: Mapping[str, KeyValues] = field(default_factory=dict)
    audio_weight: float | Tensor = 1.0
    control: Control | None = None
    motion: bool = True
    hidden: Mapping[int, Tensor] = field(default_factory=dict)
    sounding: Mapping[int, Tensor] = field(default_factory=dict)
    written: dict[str, Tensor] | None = None


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """``(n, tokens, width)`` -> ``(n, heads, tokens, width / heads)``, a view."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(tokens: Tensor) -> Tensor:
    """Inverse of ``split_heads``."""
    return tokens.transpose(1, 2).flatten(2)


def repeat_rows(tensor: Tensor, batch: int) -> Tensor:
    """Repeat what was computed once for all rows until it has ``batch`` entries."""
    times = batch // tensor.shape[0]
    return tensor if times == 1 else tensor.repeat(times, *[1] * (tensor.ndim - 1))


def self_attend(attention: Attention, tokens: Tensor) -> Tensor:
    """Plain self-attention of tokens ``(n, tokens, width)``, before its output layer."""
    query = split_heads(attention.to_q(tokens), attention.heads)
    return merge_heads(attend(query, *project(attention, tokens)))


def project(attention: Attention, tokens: Tensor) -> KeyValues:
    """Keys and values of tokens ``(rows, tokens, width)`` through an attention's own projections."""
    heads = attention.heads
    return KeyValues(split_heads(attention.to_k(tokens), heads), split_heads(attention.to_v(tokens), heads))


def feed_forward(layer: nn.Module, tokens: Tensor) -> Tensor:
    """Apply a per-token layer; without gradients in pieces, so that its hidden layer stays small."""
    if tokens.requires_grad or tokens.shape[0] * tokens.shape[1] <= FEED_FORWARD_TOKENS:
        return layer(tokens)
    pieces = [layer(piece) for piece in tokens.flatten(0, 1).split(FEED_FORWARD_TOKENS)]
    return torch.cat(pieces).view(tokens.shape)


class ConditionedAttention:
    """Attentions of a transformer block: to itself and the reference, to the context, to the sound.

    Attributes:
        name: of the block, key of its keys and values.
        attn1, attn2: self-attention and attention to the context.
        hears: whether the block attends to the sound.
        attn_audio, norm_audio: that attention and the norm before it, where it does.
    """

    name: str
    hears: bool
    attn1: Attention
    attn2: Attention
    attn_audio: Attention
    norm_audio: nn.LayerNorm

    def _make_hearing(self, audio_dim: int) -> None:
        """Attention to audio tokens of this width, 0 for none; training with sound begins as without it."""
        self.hears = audio_dim > 0
        if not self.hears:
            return
        width, heads = self.attn1.to_q.in_features, self.attn1.heads
        self.attn_audio = Attention(
            width, cross_attention_dim=audio_dim, heads=heads, dim_head=width // heads
        )
        self.norm_audio = nn.LayerNorm(width)
        for parameter in self.attn_audio.to_out[0].parameters():
            nn.init.zeros_(parameter)

    def _hear(self, tokens: Tensor, shared: Pass) -> Tensor:
        """Tokens and what they hear, with all rows if that parts them."""
        if not self.hears:
            return tokens
        heard = self._audio_attention(self.norm_audio(tokens), shared)
        return repeat_rows(tokens, max(tokens.shape[0], heard.shape[0])) + heard

    def _self_attention(self, normed: Tensor, shared: Pass) -> Tensor:
        attention = self.attn1
        query = split_heads(attention.to_q(normed), attention.heads)
        key, value = project(attention, normed)
        reference = shared.reference.get(self.name)
        hiding = _hiding(shared, query)
        if reference is None or shared.reference_rows == 0 or shared.reference_weight == 0:
            return merge_heads(attend(query, key, value, hiding))
        frames = shared.num_frames
        reading, plain = shared.reference_rows * frames, (shared.rows - shared.reference_rows) * frames
        parted = query.shape[0] == shared.rows * frames
        results = []
        if plain:
            first = slice(0, plain) if parted else slice(None)
            bias = None if hiding is None else hiding[first]
            results.append(repeat_rows(attend(query[first], key[first], value[first], bias), plain))
        last = slice(plain, None) if parted else slice(None)
        query, key, value = (repeat_rows(t[last], reading) for t in (query, key, value))
        bias = None
        if hiding is not None:
            bias = F.pad(hiding[last], (0, reference.key.shape[2]))
        elif shared.reference_weight != 1:
            bias = key.new_zeros(1, 1, 1, key.shape[2] + reference.key.shape[2])
            bias[..., key.shape[2] :] = math.log(shared.reference_weight)
        key, value = _with_reference(key, reference.key), _with_reference(value, reference.value)
        results.append(attend(query, key, value, bias))
        return merge_heads(torch.cat(results) if plain else results[0])

    def _context_attention(self, normed: Tensor, context: KeyValues) -> Tensor:
        # All frames of a row see the same context, so they are one long sequence of queries.
        attention, rows = self.attn2, context.key.shape[0]
        query = split_heads(attention.to_q(normed).reshape(rows, -1, normed.shape[-1]), attention.heads)
        attended = merge_heads(attend(query, context.key, context.value)).view(normed.shape)
        return attention.to_out[0](attended)

    def _audio_attention(self, normed: Tensor, shared: Pass) -> Tensor:
        """``(rows * frames, n, width)``, weighted; a single token for all where no row hears anything."""
        attention, audio = self.attn_audio, shared.audio.get(self.name)
        # Tokens of zero have keys and values of zero, since these have no bias: that of the output is left.
        unheard = attention.to_out[0](normed.new_zeros(1, 1, normed.shape[-1]))
        if audio is None or shared.conditional_rows == 0:
            return _weighted(unheard.expand(normed.shape[0], -1, -1), shared.audio_weight)
        frames = shared.num_frames
        reading, plain = shared.conditional_rows * frames, (shared.rows - shared.conditional_rows) * frames
        if plain:
            parted = normed.shape[0] == shared.rows * frames
            listening = repeat_rows(normed[plain:] if parted else normed, reading)
        else:
            listening = repeat_rows(normed, max(normed.shape[0], audio.key.shape[0]))
        query = split_heads(attention.to_q(listening), attention.heads)
        key, value = (repeat_rows(tensor, query.shape[0]) for tensor in audio)
        heard = attention.to_out[0](merge_heads(attend(query, key, value)))
        if plain:
            heard = torch.cat([unheard.expand(plain, *heard.shape[1:]), heard])
        sounding = shared.sounding.get(heard.shape[1])
        if sounding is not None:
            heard = heard * sounding[..., None].to(heard)
        return _weighted(heard, shared.audio_weight)


def _hiding(shared: Pass, query: Tensor) -> Tensor | None:
    """Bias ``(rows * frames, 1, queries, keys)`` that keeps tokens from reading hidden ones."""
    hidden = shared.hidden.get(query.shape[2])
    if hidden is None:
        return None
    unread = hidden[:, None, :] * (1 - hidden)[:, :, None]
    bias = torch.zeros_like(unread).masked_fill(unread > 0, -torch.inf).to(query.dtype)
    return bias.repeat_interleave(shared.num_frames, dim=0)[:, None]


def _weighted(tokens: Tensor, weight: float | Tensor) -> Tensor:
    """Tokens ``(rows * frames, n, width)`` times one number or one per frame."""
    if isinstance(weight, Tensor):
        return tokens * repeat_rows(weight.to(tokens), tokens.shape[0])[:, None, None]
    return tokens * weight


def _with_reference(own: Tensor, reference: Tensor) -> Tensor:
    copies = own.shape[0] // reference.shape[0]
    return torch.cat([own, reference.repeat_interleave(copies, dim=0)], dim=2)
