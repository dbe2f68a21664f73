"""Context tokens that are the same for every clip: the embedding of the empty text."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConstantContext(nn.Module):
    """Tokens that come with the weights, ``(1, tokens, width)``; they stand where a text encoder would."""

    tokens: Tensor

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(1, tokens, width))
