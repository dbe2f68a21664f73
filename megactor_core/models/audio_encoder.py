"""Encoders of sound: Whisper's, of which every hidden state is read, and a small one of convolutions."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder, sinusoids

from .encoder_config import WINDOW_ROWS, AudioEncoderConfig, ConvAudioEncoderConfig, HearingConfig

_POSITION_DEVIATION = 0.5
"""Of the first positions in the window, where features have a deviation of 1."""


class FeatureScale(nn.Module):
    """Standardisation of features by mean and deviation, ``(states, width)``, that come with the weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(states, width))
        self.register_buffer("deviation", torch.ones(states, width))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean.to(features)) / self.deviation.to(features)


class WindowPositions(nn.Embedding):
    """Learnt vector of every token of a frame's window, ``(rows * states, width)``, first row first."""

    def __init__(self, states: int, width: int) -> None:
        super().__init__(WINDOW_ROWS * states, width)
        self.states = states

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=_POSITION_DEVIATION)

    def forward(self, windows: Tensor) -> Tensor:
        """Windows of features ``(..., rows, states, width)`` with their positions."""
        numbers = torch.arange(self.num_embeddings, device=windows.device)
        return windows + super().forward(numbers).unflatten(0, (-1, self.states)).to(windows)


class SpeechEncoder(Protocol):
    """Encoder of log-mel spectrograms, an ``nn.Module``.

    Attributes:
        bands: of the spectrogram.
        segment: columns of the spectrogram that it takes at a time; None takes any even number.
        padding: value that fills up a segment.
        window_positions: adds their positions to the tokens of a frame's window, where it has some.
        scale: standardises its features, where it does.
    """

    bands: int
    segment: int | None
    padding: float
    window_positions: WindowPositions | None
    scale: FeatureScale | None

    def parameters(self) -> Any: ...

    def __call__(self, mel: Tensor) -> Tensor:
        """``(n, bands, 2 * rows)`` -> ``(n, rows, states, width)``."""


SILENT_MEL = -1.5
"""Value of Whisper's log-mel spectrogram where there is digital silence and nothing else."""


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
        self.bands, self.segment = config.bands, 2 * config.positions
        self.padding = 0.0 if config.padding == "zeros" else SILENT_MEL
        self.scale, self.window_positions = _hearing(config, config.width)

    def forward(self, mel: Tensor) -> Tensor:
        """Hidden states after the positions and after every block.

        Args:
            mel: log-mel spectrograms ``(n, bands, 2 * positions)``.

        Returns:
            ``(n, positions, layers + 1, width)``.
        """
        states = torch.stack(super().forward(mel, output_hidden_states=True).hidden_states, dim=2)
        return states if self.scale is None else self.scale(states)


class ConvAudioEncoder(nn.Module):
    """Residual convolutions over the log-mel spectrogram; what a row hears does not depend on its place.

    Two convolutions bring 100 columns a second to 50 rows, as Whisper's do, and every row is centred on its
    own moment. Before and after the sound it hears the sound's quietest value.
    """

    segment: int | None = None

    def __init__(self, config: ConvAudioEncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.bands, self.padding = config.bands, SILENT_MEL
        self.conv1 = nn.Conv1d(config.bands, width, 3)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2)
        self.residuals = nn.ModuleList([_Residual(width) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(width)
        self.scale, self.window_positions = _hearing(config, width)

    def forward(self, mel: Tensor) -> Tensor:
        """Last hidden states.

        Args:
            mel: log-mel spectrograms ``(n, bands, 2 * rows)``.

        Returns:
            ``(n, rows, 1, width)``.
        """
        before = 2 * len(self.residuals) + 2
        quiet = mel.amin((1, 2), keepdim=True)
        heard = F.pad(mel - quiet, (before, before - 1)) + quiet
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(heard))))
        for residual in self.residuals:
            hidden = residual(hidden)
        features = self.norm(hidden.transpose(1, 2))[:, :, None]
        return features if self.scale is None else self.scale(features)


class _Residual(nn.Module):
    """Normalised, widened over three rows and narrowed again; a row shorter at both ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Conv1d(width, 2 * width, 3)
        self.narrow = nn.Conv1d(2 * width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        return hidden[..., 1:-1] + self.narrow(F.gelu(self.widen(normed)))


def _hearing(config: HearingConfig, width: int) -> tuple[FeatureScale | None, WindowPositions | None]:
    return (
        FeatureScale(config.states, width) if config.standardised else None,
        WindowPositions(config.states, width) if config.window_positions else None,
    )


def build_audio_encoder(config: AudioEncoderConfig | ConvAudioEncoderConfig) -> SpeechEncoder:
    """Audio encoder of its kind with fresh weights."""
    return ConvAudioEncoder(config) if isinstance(config, ConvAudioEncoderConfig) else AudioEncoder(config)
