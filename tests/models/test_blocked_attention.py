"""Attention in blocks is attention: same result, same gradients, with and without autocast."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from megactor_core.models import blocked_attention
from megactor_core.models.blocked_attention import attend_in_blocks


def _leaves() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, tokens, 8, generator=generator).requires_grad_() for tokens in (5, 7, 7)]


def test_result_and_gradients_are_those_of_plain_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked_attention, "_BLOCK_ELEMENTS", 4 * 5 * 7)
    blocked, plain = _leaves(), _leaves()
    first, second = attend_in_blocks(*blocked), F.scaled_dot_product_attention(*plain)
    torch.testing.assert_close(first, second)
    for output in (first, second):
        output.square().sum().backward()
    for one, other in zip(blocked, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_autocast_leaves_the_type_alone() -> None:
    query, key, value = (leaf.detach().bfloat16().requires_grad_() for leaf in _leaves())
    with torch.autocast("cpu", torch.bfloat16):
        output = attend_in_blocks(query, key, value)
    output.sum().backward()
    assert output.dtype == torch.bfloat16 and query.grad is not None
    expected = F.scaled_dot_product_attention(*_leaves())
    torch.testing.assert_close(output.float(), expected, atol=0.02, rtol=0.02)
