"""Gradient checkpointing: activations that are computed again instead of held."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def call(module: Callable[..., Tensor], *arguments: object, recompute: bool) -> Tensor:
    """Call a block; with ``recompute`` its activations are dropped until a backward pass."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(module, *arguments, use_reentrant=False)
    return module(*arguments)
