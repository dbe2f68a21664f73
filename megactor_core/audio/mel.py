"""Whisper's log-mel spectrogram (Radford et al. 2022)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLE_RATE = 16_000
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
