"""Whisper's audio encoder, of which every hidden state is read and not the final norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder, sinusoids

from .encoder_config import AudioEncoderConfig


class AudioEncoder(WhisperEncoder):
    """transformers' Whisper encoder without its final norm (Radford et al. 2022, "Whisper")."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__(
            WhisperConfig(
                num_mel_bins=config.bands,
                d_model=config.width,
                encoder_layers=config.layers,
                encoder_attention_heads=config.heads,
                encoder_ffn_dim=4 * config.width,
                max_source_positions=config.positions,
            )
        )
        self.layer_norm = nn.Identity()
        positions = self.embed_positions.weight
        positions.data.copy_(sinusoids(*positions.shape))

    def forward(self, mel: Tensor) -> Tensor:
        """Hidden states after the positions and after every block.

        Args:
            mel: log-mel spectrograms ``(n, bands, 2 * positions)``.

        Returns:
            ``(n, positions, layers + 1, width)``.
        """
        return torch.stack(super().forward(mel, output_hidden_states=True).hidden_states, dim=2)
