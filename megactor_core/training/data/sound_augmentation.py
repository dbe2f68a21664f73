"""Changes of a sound that leave what is said, and when, as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...media.waveform import SAMPLE_RATE
from ..config.sound import SoundAugmentationConfig

Waveform = NDArray[np.float32]

# Ranges of what is drawn; in decibels, hertz and seconds. Nothing is known of those of the public training.
_NOISE_BELOW, _SOFTER, _LOW_PASS, _HIGH_PASS = (10.0, 40.0), (0.0, 20.0), (2200.0, 4000.0), (200.0, 1200.0)
_RING, _WET_BELOW = (0.1, 0.6), (3.0, 15.0)

_SILENT = 1e-8
"""Energy of a grain that is not heard."""

_GRAIN, _REACH = 480, 160
"""Samples of a grain of sound that is moved to stretch it, 30 ms, and how far it is moved, 10 ms."""

_PREFERENCE = 0.1 * np.abs(np.arange(-_REACH, _REACH + 1, dtype=np.float32)) / _REACH
"""Of periods that continue a vowel equally well the nearest is taken."""


def augment(sound: Waveform, config: SoundAugmentationConfig, rng: np.random.Generator) -> Waveform:
    """A sound, changed at random; nothing in it comes sooner or later.

    Every change draws from a generator of its own: the chance of one has no influence on the others.

    Args:
        sound: float32 ``(samples,)``, 16 kHz mono, about -1..1.
        config: chances.
        rng: the only source of random numbers.

    Returns:
        float32 of the same length.
    """
    chances = rng.random(6)
    own = rng.spawn(6)
    if not sound.any():
        return sound
    if chances[0] < config.pitch:
        cents = own[0].uniform(-config.pitch_cents, config.pitch_cents)
        sound = shift_pitch(sound, cents)
    if chances[1] < config.reverb:
        sound = _in_a_room(sound, own[1])
    if chances[2] < config.band:
        sound = _in_a_band(sound, own[2])
    if chances[3] < config.noise:
        level = _loudness(sound) * _factor(-own[3].uniform(*_NOISE_BELOW))
        sound = sound + np.float32(level) * own[3].standard_normal(len(sound), np.float32)
    if chances[4] < config.gain:
        sound = sound * np.float32(_factor(-own[4].uniform(*_SOFTER)))
    if chances[5] < config.polarity:
        sound = -sound
    return sound


def shift_pitch(sound: Waveform, cents: float) -> Waveform:
    """The sound in another pitch, as long as before: resampled, then stretched back.

    Formants move with the pitch, as those of a smaller or larger head do. The stretching is WSOLA (Verhelst
    and Roelands 1993): grains are laid where they continue each other best, at most 10 ms from where they
    belong.

    Args:
        sound: float32 ``(samples,)``.
        cents: 100 are a semitone; positive is higher.
    """
    resampled = _resampled(sound, max(1, round(len(sound) / 2 ** (cents / 1200))))
    margin = _GRAIN + _REACH
    source = np.pad(resampled, margin)
    window = np.hanning(_GRAIN + 1)[:-1].astype(np.float32)
    hop = _GRAIN // 2
    result = np.zeros(len(sound) + 2 * _GRAIN, np.float32)
    place = margin - hop
    for first in range(0, len(sound) + hop, hop):
        # Grains are centred on their moment, so the first begins before the sound.
        wanted = margin - hop + round(first * len(resampled) / len(sound))
        goes_on = source[place + hop : place + hop + _GRAIN]
        place = wanted
        if first and goes_on.any():
            near = source[wanted - _REACH : wanted + _REACH + _GRAIN]
            energy = np.convolve(np.square(near), np.ones(len(goes_on), np.float32), "valid")
            likeness = np.correlate(near, goes_on, "valid") / np.sqrt(np.maximum(energy, _SILENT))
            place += int((likeness - _PREFERENCE).argmax()) - _REACH
        result[first : first + _GRAIN] += window * source[place : place + _GRAIN]
    return result[hop : hop + len(sound)]


def _resampled(sound: Waveform, samples: int) -> Waveform:
    """The sound in another number of samples, by its spectrum."""
    spectrum = np.fft.rfft(sound)[: samples // 2 + 1]
    return (np.fft.irfft(spectrum, samples) * (samples / len(sound))).astype(np.float32)


def _in_a_band(sound: Waveform, rng: np.random.Generator) -> Waveform:
    """Low or high frequencies alone: a Butterworth filter of second order, run both ways."""
    low = rng.random() < 0.5
    cut = rng.uniform(*(_LOW_PASS if low else _HIGH_PASS))
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    ratio = (frequencies / cut) ** 4
    kept = 1 / (1 + ratio) if low else ratio / (1 + ratio)
    return np.fft.irfft(np.fft.rfft(sound) * kept, len(sound)).astype(np.float32)


def _in_a_room(sound: Waveform, rng: np.random.Generator) -> Waveform:
    """The sound and, softer, its echoes: noise that falls by 60 dB in the time that the room rings."""
    ring, wet = rng.uniform(*_RING), _factor(-rng.uniform(*_WET_BELOW))
    seconds = np.arange(round(ring * SAMPLE_RATE)) / SAMPLE_RATE
    echoes = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / ring)
    echoes[0] = 0
    length = len(sound) + len(echoes) - 1
    tail = np.fft.irfft(np.fft.rfft(sound, length) * np.fft.rfft(echoes, length), length)[: len(sound)]
    both = sound + tail * (wet * _loudness(sound) / max(_loudness(tail), 1e-9))
    return (both * (_loudness(sound) / _loudness(both))).astype(np.float32)


def _loudness(sound: NDArray) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def _factor(decibels: float) -> float:
    return 10 ** (decibels / 20)
