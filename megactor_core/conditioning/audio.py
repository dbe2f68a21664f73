"""Sound as the denoiser hears it: Whisper's hidden states around the moment of every frame."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperFeatureExtractor

from ..media.waveform import SAMPLE_RATE
from ..models.audio_encoder import AudioEncoder
from ..models.conditions import AudioCondition

HOP = 160
"""Samples from one column of the log-mel spectrogram to the next."""

ROWS_BEFORE, ROWS_AFTER = 4, 5
"""Rows of features that a frame hears before and after that of its own moment; a row is 20 ms."""

COLUMNS_PER_ROW = 2
ROWS_PER_SECOND = SAMPLE_RATE // (HOP * COLUMNS_PER_ROW)


def audio_features(
    encoder: AudioEncoder, waveform: NDArray[np.float32], device: torch.device | None = None
) -> Tensor:
    """All hidden states of a sound, 50 rows per second.

    Args:
        encoder: turns segments of the spectrogram into hidden states.
        waveform: ``(samples,)``, 16 kHz mono, about -1..1.
        device: to compute on; that of the encoder's weights if not given.

    Returns:
        ``(rows, layers + 1, width)`` on that device, in the encoder's type.
    """
    config = encoder.config
    device = device or encoder.device
    segments = []
    # As in MegActor-Sigma's public code the spectrogram is filled up with zeros, which are not silence.
    length = COLUMNS_PER_ROW * config.max_source_positions
    for mel in log_mel(waveform, config.num_mel_bins).split(length, dim=1):
        full = F.pad(mel, (0, length - mel.shape[1])).to(device, encoder.dtype)
        segments.append(encoder(full[None])[0, : mel.shape[1] // COLUMNS_PER_ROW])
    return torch.cat(segments)


def log_mel(waveform: NDArray[np.float32], bands: int) -> Tensor:
    """Whisper's log-mel spectrogram (Radford et al. 2022).

    Args:
        waveform: ``(samples,)``, 16 kHz mono, about -1..1; what is shorter than a window ends in silence.
        bands: of the mel scale.

    Returns:
        float32 ``(bands, samples // 160)``; -1.5 is digital silence.
    """
    extractor = _extractor(bands)
    samples = np.pad(waveform, (0, max(0, extractor.n_fft - len(waveform))))
    features = extractor(
        samples, sampling_rate=SAMPLE_RATE, padding=False, truncation=False, return_tensors="pt"
    )
    return features["input_features"][0]


@cache
def _extractor(bands: int) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(feature_size=bands)


def frame_rows(count: int, times: Iterable[Fraction]) -> Tensor:
    """Rows of features that every frame hears, int64 ``(frames, 10)``; beyond the ends the outermost repeat.

    Args:
        count: rows of the features.
        times: of the frames, in seconds.
    """
    centres = torch.tensor([int(time * ROWS_PER_SECOND) for time in times])
    offsets = torch.arange(-ROWS_BEFORE, ROWS_AFTER + 1)
    return (centres[:, None] + offsets).clamp(0, count - 1)


def num_rows(samples: int) -> int:
    """Rows of features that ``audio_features`` gives of so many samples, at least a window of 25 ms."""
    return samples // HOP // COLUMNS_PER_ROW


def compose_audio(
    encoder: AudioEncoder, waveforms: Tensor, rows: Tensor, shown: Tensor | None = None
) -> AudioCondition:
    """The sound of one clip or of many, with gradients to the encoder's weights.

    Args:
        encoder: see ``audio_features``.
        waveforms: float32 ``(clips, samples)``, 16 kHz mono, about -1..1, on any device.
        rows: of every frame, int64 ``(clips, frames, n)``, from ``frame_rows``.
        shown: bool ``(clips,)``; the others hear features of zero, like the unconditional row of guidance,
            which are not silence. None lets all hear.
    """
    features = torch.stack([audio_features(encoder, waveform.cpu().numpy()) for waveform in waveforms])
    if shown is not None:
        features = features * shown.to(features)[:, None, None, None]
    first = torch.arange(len(features), device=rows.device) * features.shape[1]
    heard = (rows + first[:, None, None]).flatten(0, 1).to(features.device)
    return AudioCondition(features.flatten(0, 1), heard, torch.ones(len(heard)).to(features))


@torch.inference_mode()
def encode_audio(
    encoder: AudioEncoder,
    waveform: NDArray[np.float32],
    times: Iterable[Fraction],
    device: torch.device | None = None,
) -> AudioCondition:
    """The sound of a clip.

    Args:
        encoder, device: see ``audio_features``.
        waveform: ``(samples,)``, 16 kHz mono, about -1..1, from the clip's first moment to its end.
        times: of the frames, in seconds after the first.
    """
    features = audio_features(encoder, waveform, device)
    rows = frame_rows(len(features), times).to(features.device)
    return AudioCondition(features, rows, torch.ones(len(rows)).to(features))
