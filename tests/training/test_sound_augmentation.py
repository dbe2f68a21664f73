"""Sound is changed at random, and nothing in it is moved."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.training.config.sound import SoundAugmentationConfig
from megactor_core.training.data.sound_augmentation import augment, shift_pitch

RATE = 16_000
NEVER = {name: 0.0 for name in ("polarity", "noise", "gain", "band", "pitch", "reverb")}
CHANGES = sorted(NEVER)


def syllables() -> np.ndarray:
    """Two seconds of a vowel of 120 Hz in syllables of random loudness."""
    time = np.arange(2 * RATE) / RATE
    vowel = sum(np.sin(2 * np.pi * 120 * number * time) / number for number in range(1, 20))
    loud = np.random.default_rng(3).random(40).clip(0.4) - 0.4
    return (0.4 * vowel * np.interp(time, np.arange(40) / 20, loud)).astype(np.float32)


def loudness(sound: np.ndarray) -> np.ndarray:
    return np.convolve(sound**2, np.ones(400) / 400, "same")


def delay(before: np.ndarray, after: np.ndarray) -> float:
    """Seconds by which the loudness of one comes after that of the other."""
    first, second = (loudness(sound) - loudness(sound).mean() for sound in (before, after))
    lags = range(-800, 801, 10)
    fits = [np.dot(first[800:-800], np.roll(second, -lag)[800:-800]) for lag in lags]
    return lags[int(np.argmax(fits))] / RATE


def config(**chances: float) -> SoundAugmentationConfig:
    return SoundAugmentationConfig(**{**NEVER, **chances})


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_length_and_time_and_repeats(change: str):
    sound = syllables()
    changed = augment(sound, config(**{change: 1.0}), np.random.default_rng(5))
    assert changed.shape == sound.shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and np.abs(changed - sound).max() > 0.002
    assert abs(delay(sound, changed)) <= 0.011
    assert np.array_equal(changed, augment(sound, config(**{change: 1.0}), np.random.default_rng(5)))


def test_the_chance_of_one_change_has_no_influence_on_another():
    sound = syllables()
    noisy = augment(sound, config(noise=1.0), np.random.default_rng(5))
    both = augment(sound, config(noise=1.0, polarity=1.0), np.random.default_rng(5))
    assert np.array_equal(both, -noisy)


def test_so_many_sounds_are_changed_as_asked():
    sound = syllables()[:2000]
    turned = [
        not np.array_equal(augment(sound, config(polarity=0.2), np.random.default_rng(seed)), sound)
        for seed in range(1000)
    ]
    assert np.mean(turned) == pytest.approx(0.2, abs=3 * (0.2 * 0.8 / 1000) ** 0.5)


def test_silence_stays_silence():
    silence = np.zeros(RATE, np.float32)
    certain = SoundAugmentationConfig(**dict.fromkeys(CHANGES, 1.0))
    assert not augment(silence, certain, np.random.default_rng(0)).any()


@pytest.mark.parametrize("cents", [-500, -100, 0, 100, 500])
def test_a_pitch_is_shifted_by_cents(cents: float):
    sound = syllables()
    shifted = shift_pitch(sound, cents)
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(len(shifted)), 8 * len(shifted)))
    hertz = np.fft.rfftfreq(8 * len(shifted), 1 / RATE)[spectrum.argmax()]
    assert hertz == pytest.approx(120 * 2 ** (cents / 1200), rel=0.01)
    assert abs(delay(sound, shifted)) <= 0.006
    assert np.corrcoef(loudness(sound), loudness(shifted))[0, 1] > 0.95
