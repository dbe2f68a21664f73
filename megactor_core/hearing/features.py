"""Features of sound: what an audio encoder makes of its log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..media.waveform import SAMPLE_RATE

if TYPE_CHECKING:  # transformers take seconds to import, also in workers that hear nothing
    from transformers import WhisperFeatureExtractor

    from ..models.audio_encoder import SpeechEncoder

HOP = 160
"""Samples from one column of the log-mel spectrogram to the next."""

COLUMNS_PER_ROW = 2
ROWS_PER_SECOND = SAMPLE_RATE // (HOP * COLUMNS_PER_ROW)


def audio_features(
    encoder: SpeechEncoder, waveform: NDArray[np.float32], device: torch.device | None = None
) -> Tensor:
    """All hidden states of a sound, 50 rows per second.

    Args:
        encoder: turns the spectrogram, or segments of it, into hidden states.
        waveform: ``(samples,)``, 16 kHz mono, about -1..1.
        device: to compute on; that of the encoder's weights if not given.

    Returns:
        ``(rows, states, width)`` on that device, in the encoder's type.
    """
    weight = next(encoder.parameters())
    mel = log_mel(waveform, encoder.bands).to(device or weight.device, weight.dtype)
    rows = mel.shape[1] // COLUMNS_PER_ROW
    if encoder.segment is None:
        return encoder(mel[None, :, : rows * COLUMNS_PER_ROW])[0]
    segments = []
    for part in mel.split(encoder.segment, dim=1):
        full = F.pad(part, (0, encoder.segment - part.shape[1]), value=encoder.padding)
        segments.append(encoder(full[None])[0, : part.shape[1] // COLUMNS_PER_ROW])
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
    with torch.autocast("cpu", enabled=False):  # training may compute in fewer digits around this
        features = extractor(
            samples, sampling_rate=SAMPLE_RATE, padding=False, truncation=False, return_tensors="pt"
        )
    return features["input_features"][0]


@cache
def _extractor(bands: int) -> WhisperFeatureExtractor:
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=bands)


def num_rows(samples: int) -> int:
    """Rows of features that ``audio_features`` gives of so many samples, at least a window of 25 ms."""
    return samples // HOP // COLUMNS_PER_ROW


@torch.no_grad()
def standardise(encoder: SpeechEncoder, waveforms: Iterable[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Let the encoder's ``scale``, which its configuration asks for, standardise the features of some sounds.

    Returns:
        Mean and deviation, ``(states, width)``, of the features as they were before.
    """
    scale = encoder.scale
    assert scale is not None
    features = torch.cat([audio_features(encoder, waveform) for waveform in waveforms])
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-4)
    scale.mean += scale.deviation * mean
    scale.deviation *= deviation
    return mean, deviation
