"""Any sound becomes 16 kHz mono of the right length; silence fills up, nonsense is refused."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from megactor_core.audio.mel import log_mel
from megactor_core.audio.waveform import read_waveform, silence
from megactor_core.errors import InputError
from megactor_core.media.samples import Samples


def tone(rate: int, seconds: float, hertz: float = 440) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def write_wave(path: Path, rate: int, channels: int, seconds: float = 0.5) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        samples = np.repeat(tone(rate, seconds)[:, None], channels, axis=1)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def loudest_hertz(waveform: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(waveform)).argmax() * 16000 / len(waveform))


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (22050, 2), (44100, 2), (96000, 6)])
def test_files_of_any_rate_and_channels(rate: int, channels: int, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "sound.wav", rate, channels)
    waveform = read_waveform(path, duration=Fraction(1, 2))
    assert waveform.shape == (8000,) and waveform.dtype == np.float32
    assert loudest_hertz(waveform) == pytest.approx(440, abs=3)
    assert 0.2 < np.abs(waveform[1000:7000]).max() < 1.3


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_of_samples_in_memory_no_channel_is_lost(channels: int) -> None:
    values = np.zeros((channels, 24000), np.float32)
    values[-1] = tone(48000, 0.5)
    waveform = read_waveform(Samples(values, 48000))
    assert len(waveform) == pytest.approx(8000, abs=20)
    assert np.abs(waveform[1000:7000]).max() == pytest.approx(0.5 / channels, rel=0.05)


def test_a_span_begins_where_it_should_and_ends_in_silence(tmp_path: Path) -> None:
    values = np.concatenate([np.zeros(16000), tone(16000, 1)]).astype(np.float32)[None]
    waveform = read_waveform(Samples(values, 16000), Fraction(3, 2), Fraction(1))
    assert len(waveform) == 16000
    assert np.abs(waveform[:7900]).max() > 0.4 and not waveform[8100:].any()
    after = read_waveform(Samples(values, 16000), Fraction(5), Fraction(1, 10))
    assert after.shape == (1600,) and not after.any()


def test_silence_is_zeros_and_quieter_than_anything() -> None:
    import torch

    quiet = silence(Fraction(1, 2))
    assert quiet.shape == (8000,) and not quiet.any()
    assert (log_mel(torch.from_numpy(quiet), 80) == -1.5).all()


def test_what_holds_no_sound_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("not sound")
    for sound, problem in (
        (text, "cannot be read"),
        (tmp_path / "missing.wav", "cannot be read"),
        (write_wave(tmp_path / "empty.wav", 16000, 1, seconds=0), "sound"),
        (Samples(np.array([[0, np.nan, 0.5] * 400], np.float32), 16000), "not numbers"),
    ):
        with pytest.raises(InputError, match=problem):
            read_waveform(sound)
