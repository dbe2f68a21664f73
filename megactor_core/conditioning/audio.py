"""Sound as the denoiser hears it: Whisper's hidden states around the moment of every frame."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..media.waveform import SAMPLE_RATE
from ..models.audio_encoder import AudioEncoder
from ..models.conditions import AudioCondition

WINDOW = 400
HOP = 160
_FLOOR = 1e-10
_RANGE = 8.0  # bels below the loudest value


def log_mel(waveform: Tensor, bands: int) -> Tensor:
    """Log-mel spectrogram.

    Args:
        waveform: float32 ``(samples,)`` at 16 kHz, about -1..1, at least ``WINDOW`` long.
        bands: of the mel scale.

    Returns:
        float32 ``(bands, samples // 160)``; -1.5 is digital silence.
    """
    window = torch.hann_window(WINDOW, device=waveform.device)
    spectrum = torch.stft(waveform, WINDOW, HOP, window=window, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    filters = torch.from_numpy(mel_filters(bands)).to(power)
    logarithm = (filters @ power).clamp(min=_FLOOR).log10()
    return (logarithm.clamp(min=float(logarithm.max()) - _RANGE) + 4) / 4


def mel_filters(bands: int) -> NDArray[np.float32]:
    """Triangular filters of equal area on Slaney's mel scale, ``(bands, WINDOW // 2 + 1)``.

    Slaney's scale (Auditory Toolbox, 1998) is linear below 1 kHz, logarithmic above.
    """
    edges = _to_hertz(np.linspace(0, _to_mel(SAMPLE_RATE / 2), bands + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    distances = frequencies[None] - edges[:, None]
    rising = distances[:-2] / (edges[1:-1] - edges[:-2])[:, None]
    falling = -distances[2:] / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * area[:, None]).astype(np.float32)


_LINEAR = 200 / 3  # hertz per mel below the break
_BREAK_HERTZ = 1000.0
_BREAK_MEL = _BREAK_HERTZ / _LINEAR
_LOG_STEP = math.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    return (
        hertz / _LINEAR if hertz < _BREAK_HERTZ else _BREAK_MEL + math.log(hertz / _BREAK_HERTZ) / _LOG_STEP
    )


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR, _BREAK_HERTZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))


ROWS_BEFORE, ROWS_AFTER = 4, 5
"""Rows of features that a frame hears before and after that of its own moment; a row is 20 ms."""

COLUMNS_PER_ROW = 2
ROWS_PER_SECOND = SAMPLE_RATE // (HOP * COLUMNS_PER_ROW)


@torch.inference_mode()
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
    samples = torch.from_numpy(waveform)
    samples = F.pad(samples, (0, max(0, WINDOW - len(samples))))
    config = encoder.config
    weight = encoder.conv1.weight
    device = device or weight.device
    segments = []
    # As in MegActor-Sigma's public code the spectrogram is filled up with zeros, which are not silence.
    for mel in log_mel(samples, config.bands).split(COLUMNS_PER_ROW * config.positions, dim=1):
        full = F.pad(mel, (0, COLUMNS_PER_ROW * config.positions - mel.shape[1])).to(device, weight.dtype)
        segments.append(encoder(full[None])[0, : mel.shape[1] // COLUMNS_PER_ROW])
    return torch.cat(segments)


def frame_rows(num_rows: int, times: Iterable[Fraction]) -> Tensor:
    """Rows of features that every frame hears, int64 ``(frames, 10)``; beyond the ends the outermost repeat.

    Args:
        num_rows: of the features.
        times: of the frames, in seconds.
    """
    centres = torch.tensor([int(time * ROWS_PER_SECOND) for time in times])
    offsets = torch.arange(-ROWS_BEFORE, ROWS_AFTER + 1)
    return (centres[:, None] + offsets).clamp(0, num_rows - 1)


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
