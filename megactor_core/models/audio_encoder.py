"""Whisper's audio encoder, of which every hidden state is read and not the final norm."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoder_config import AudioEncoderConfig
from .sd15.attention import attend, merge_heads, split_heads


class SelfAttention(nn.Module):
    """Attention under Whisper's own names; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            split_heads(layer(tokens), self.heads) for layer in (self.query, self.key, self.value)
        )
        return self.out(merge_heads(attend(query, key, value)))


class Block(nn.Module):
    """Norm and self-attention, norm and two linear layers, each with a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.attn_ln(tokens))
        return tokens + self.mlp(self.mlp_ln(tokens))


class AudioEncoder(nn.Module):
    """Two convolutions, a table of positions, transformer blocks (Radford et al. 2022, "Whisper").

    Keys are those of the published state dict without ``encoder.``.
    """

    positional_embedding: Tensor

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.bands, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", _sinusoids(config.positions, config.width))
        self.blocks = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.layers)])

    @property
    def dtype(self) -> torch.dtype:
        return self.conv1.weight.dtype

    def forward(self, mel: Tensor) -> Tensor:
        """Hidden states after the positions and after every block.

        Args:
            mel: log-mel spectrograms ``(n, bands, 2 * positions)``.

        Returns:
            ``(n, positions, layers + 1, width)``.
        """
        hidden_states = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        states = [hidden_states + self.positional_embedding.to(hidden_states)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return torch.stack(states, dim=2)


def _sinusoids(positions: int, width: int) -> Tensor:
    """Sines, then cosines, of wavelengths from 2 pi to 10000 * 2 pi."""
    step = math.log(10000) / (width // 2 - 1)
    frequencies = torch.exp(-step * torch.arange(width // 2))
    angles = torch.arange(positions)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
