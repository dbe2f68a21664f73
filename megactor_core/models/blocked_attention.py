"""Softmax attention for training on a CPU: in blocks that stay in its cache, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 21
"""Attention weights computed at a time: 4 MB in bf16."""


def attend_in_blocks(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention over ``(batch, heads, tokens, head_width)``, all of one type, also under autocast.

    The weights are kept for the backward pass: computing them again costs more on a CPU than it saves. Whole
    products over all heads would pass hundreds of megabytes through memory several times. ``bias``, which
    broadcasts to ``(batch, 1, queries, keys)``, is added to the scores; it gets no gradient.
    """
    tensors = [tensor.flatten(0, 1) for tensor in (query, key, value)]
    if bias is not None:
        bias = bias.expand(len(query), query.shape[1], *bias.shape[2:]).flatten(0, 1)
    with torch.autocast(query.device.type, enabled=False):
        return _BlockedAttention.apply(*tensors, bias).unflatten(0, query.shape[:2])


class _BlockedAttention(torch.autograd.Function):
    """Attention over ``(batch * heads, tokens, head_width)`` with a backward pass in blocks."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        scaled = query * query.shape[-1] ** -0.5
        weights = query.new_empty(*query.shape[:-1], key.shape[-2])
        output = torch.empty_like(scaled)
        for block in _blocks(weights):
            torch.bmm(scaled[block], key[block].transpose(-1, -2), out=weights[block])
            if bias is not None:
                weights[block] += bias[block]
            torch.softmax(weights[block], -1, out=weights[block])
            torch.bmm(weights[block], value[block], out=output[block])
        ctx.save_for_backward(scaled, key, value, weights)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        scaled, key, value, weights = ctx.saved_tensors
        of_query, of_key, of_value = (torch.empty_like(tensor) for tensor in (scaled, key, value))
        for block in _blocks(weights):
            own = weights[block]
            torch.bmm(own.transpose(-1, -2), gradient[block], out=of_value[block])
            of_weights = torch.bmm(gradient[block], value[block].transpose(-1, -2))
            of_scores = torch._softmax_backward_data(of_weights, own, -1, own.dtype)
            torch.bmm(of_scores, key[block], out=of_query[block])
            torch.bmm(of_scores.transpose(-1, -2), scaled[block], out=of_key[block])
        return of_query * scaled.shape[-1] ** -0.5, of_key, of_value, None


def _blocks(weights: Tensor) -> Iterator[slice]:
    size = max(1, _BLOCK_ELEMENTS // weights[0].numel())
    return (slice(start, start + size) for start in range(0, len(weights), size))
