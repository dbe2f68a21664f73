"""Any sound becomes 16 kHz mono of the right length; silence fills up, nonsense is refused."""

from __future__ import annotations

import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from megactor_core.animation.clip import find_clip
from megactor_core.errors import InputError
from megactor_core.hearing.features import log_mel
from megactor_core.media.samples import Samples
from megactor_core.media.waveform import read_waveform, silence


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


@pytest.mark.parametrize(
    ("channels", "speaking", "level"), [(1, 0, 1), (2, 0, 0.5), (2, 1, 0.5), (6, 2, 0.7071), (6, 5, 0.3536)]
)
def test_of_samples_in_memory_no_speaker_is_lost(channels: int, speaking: int, level: float) -> None:
    values = np.zeros((channels, 24000), np.float32)
    values[speaking] = tone(48000, 0.5)
    waveform = read_waveform(Samples(values, 48000))
    assert len(waveform) == 8000
    assert np.abs(waveform[1000:7000]).max() == pytest.approx(0.5 * level, rel=0.05)


@pytest.mark.parametrize("right", [-1, -0.9])
def test_channels_that_are_opposite_do_not_cancel_out(right: float, tmp_path: Path) -> None:
    """As of a microphone wired the wrong way round; for a while, too, after a part where they are alike."""
    one = tone(16000, 4).astype(np.float32)
    values = np.stack([one, right * one])
    values[1, :32000] = one[:32000]
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 16000, 0, "NONE", ""))
        file.writeframes((values.T * 32767).astype("<i2").tobytes())
    for sound in (Samples(values, 16000), path):
        waveform = read_waveform(sound)
        np.testing.assert_allclose(waveform[:32000], one[:32000], atol=1e-3)
        np.testing.assert_allclose(waveform[32200:], (1 - right) / 2 * one[32200:], atol=1e-3)


def test_other_channels_are_averaged() -> None:
    left, right = np.random.default_rng(0).uniform(-1, 1, (2, 40000)).astype(np.float32)
    for pair in ([left, right], [left, 0.5 * right - 0.5 * left], [left, 0 * left], [left, -0.3 * left]):
        values = np.stack(pair)
        np.testing.assert_allclose(read_waveform(Samples(values, 16000)), values.mean(axis=0), atol=1e-6)


def test_only_the_span_that_is_needed_is_decoded_and_held(tmp_path: Path) -> None:
    seconds = 120  # as heard 8 MB
    path = write_wave(tmp_path / "long.wav", 16000, 2, seconds)
    speech = Samples(tone(16000, seconds).astype(np.float32)[None].repeat(2, axis=0), 16000)
    for sound in (path, speech):
        tracemalloc.start()
        for start, stop in ((0, 10), (25, 35)):
            clip = find_clip(None, sound, start, stop)
            assert (clip.num_frames, clip.sound_start) == (10, Fraction(start, 25))
            assert clip.waveform is not None and len(clip.waveform) == 6400
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    assert find_clip(None, speech, -10).sound_start == seconds - Fraction(10, 25)


def test_speech_alone_is_a_clip_as_long_as_it_is() -> None:
    speech = Samples(tone(44100, 1.01).astype(np.float32)[None], 44100)
    whole = find_clip(None, speech)
    assert (whole.num_frames, len(whole.waveform)) == (26, 16640)
    for start, stop in ((3, None), (3, 100), (-23, None)):
        rest = find_clip(None, speech, start, stop)
        assert (rest.num_frames, rest.sound_start) == (23, Fraction(3, 25))
        np.testing.assert_allclose(rest.waveform[100:13000], whole.waveform[2020:14920], atol=1e-3)
    for start, stop, problem in ((26, None, "26 to 26 are none of its 26"), (5, 5, "frames 5 to 5")):
        with pytest.raises(InputError, match=problem):
            find_clip(None, speech, start, stop)
    with pytest.raises(InputError, match="sound is empty"):
        find_clip(None, Samples(np.zeros((1, 0), np.float32), 44100))


def test_a_span_begins_where_it_should_and_ends_in_silence(tmp_path: Path) -> None:
    values = np.concatenate([np.zeros(16000), tone(16000, 1)]).astype(np.float32)[None]
    waveform = read_waveform(Samples(values, 16000), Fraction(3, 2), Fraction(1))
    assert len(waveform) == 16000
    assert np.abs(waveform[:7900]).max() > 0.4 and not waveform[8100:].any()
    after = read_waveform(Samples(values, 16000), Fraction(5), Fraction(1, 10))
    assert after.shape == (1600,) and not after.any()


def test_silence_is_zeros_and_quieter_than_anything() -> None:

    quiet = silence(Fraction(1, 2))
    assert quiet.shape == (8000,) and not quiet.any()
    assert (log_mel(quiet, 80) == -1.5).all()


def test_what_holds_no_sound_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("not sound")
    for sound, problem in (
        (text, "cannot be read"),
        (tmp_path / "missing.wav", "no such file"),
        (write_wave(tmp_path / "empty.wav", 16000, 1, seconds=0), "sound"),
        (Samples(np.array([[0, np.nan, 0.5] * 400], np.float32), 16000), "not numbers"),
    ):
        with pytest.raises(InputError, match=problem):
            read_waveform(sound)
