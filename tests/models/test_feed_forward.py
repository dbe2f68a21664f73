"""A feed-forward layer in pieces is the same layer, with less memory."""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward

from megactor_core.models.attention import FEED_FORWARD_TOKENS, feed_forward


@torch.inference_mode()
def test_pieces_change_nothing_and_never_exceed_the_limit() -> None:
    layer = FeedForward(8).eval()
    seen: list[int] = []
    layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].numel() // 8))
    tokens = torch.randn(3, FEED_FORWARD_TOKENS // 2, 8)
    pieces = feed_forward(layer, tokens)
    torch.testing.assert_close(pieces, layer(tokens))
    assert max(seen[:-1]) <= FEED_FORWARD_TOKENS
