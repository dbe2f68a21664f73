"""Sound of many channels sounds the same from a file and from memory: as FFmpeg mixes it, never clipped."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import decoded_sound, grey_images, make_video

from megactor_core.media.samples import Samples
from megactor_core.media.sound import read_sound
from megactor_core.media.waveform import read_waveform
from megactor_core.media.writing import VideoWriter

RATE = 16_000
LEFT, RIGHT, BOTH, REAR, NONE = (1, 0), (0, 1), (0.7071, 0.7071), (0.5, 0.5), (0, 0)
BACK_LEFT, BACK_RIGHT = (0.7071, 0), (0, 0.7071)
# Of every channel: how loud it is on the left and on the right, by FFmpeg's matrix.
MATRICES = {
    "mono": [(1,)],
    "stereo": [LEFT, RIGHT],
    "3.0": [LEFT, RIGHT, BOTH],
    "4.0": [LEFT, RIGHT, BOTH, REAR],
    "5.0": [LEFT, RIGHT, BOTH, BACK_LEFT, BACK_RIGHT],
    "5.1": [LEFT, RIGHT, BOTH, NONE, BACK_LEFT, BACK_RIGHT],
    "6.1": [LEFT, RIGHT, BOTH, NONE, REAR, BACK_LEFT, BACK_RIGHT],
    "7.1": [LEFT, RIGHT, BOTH, NONE, BACK_LEFT, BACK_RIGHT, BACK_LEFT, BACK_RIGHT],
}


def tones(channels: int, seconds: float = 0.25) -> np.ndarray:
    """A tone of its own in each channel, of whole periods, so that they can be told apart; float32 (c, n)."""
    time = np.arange(round(RATE * seconds)) / RATE
    hertz = 200 * (1 + np.arange(channels))[:, None]
    return (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_sound(path: Path, values: np.ndarray, layout: str, rate: int = RATE) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(values.T).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def read_all(sound: Path | Samples) -> np.ndarray:
    samples = read_sound(sound, Fraction(0), Fraction(10))
    assert samples is not None and samples.rate == RATE
    return samples.values


@pytest.mark.parametrize("layout", MATRICES)
def test_files_and_memory_are_mixed_by_the_same_matrix(tmp_path: Path, layout: str) -> None:
    values = tones(len(MATRICES[layout]))
    path = write_sound(tmp_path / "a.wav", values, layout)
    memory = Samples(values, RATE)
    mixed = read_all(path)
    levels = mixed @ values.T / np.square(values).sum(axis=1)
    np.testing.assert_allclose(levels.T, MATRICES[layout], atol=0.001)
    np.testing.assert_array_equal(read_all(memory), mixed)
    np.testing.assert_array_equal(read_waveform(memory), read_waveform(path))
    np.testing.assert_allclose(read_waveform(path), mixed.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("target", ["b.mp4", "b.webm"])
def test_speech_in_the_centre_reaches_the_result(tmp_path: Path, target: str) -> None:
    values = np.zeros((6, RATE), np.float32)
    values[2] = np.resize(tones(1), RATE)
    path = write_sound(tmp_path / "a.mkv", values, "5.1")
    for source in (path, Samples(values, RATE)):
        with VideoWriter(
            tmp_path / target, 64, 48, Fraction(25), audio_source=source, overwrite=True
        ) as writer:
            for image in grey_images(25):
                writer.write(image)
        mono, _ = decoded_sound(tmp_path / target)  # 0.707 of left and right
        assert np.sqrt(np.square(mono).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("channels", [3, 6, 9, 10, 11, 24, 64])
def test_any_number_of_unnamed_channels(tmp_path: Path, channels: int) -> None:
    """Where FFmpeg has no layout for their number, they are averaged."""
    values = tones(1).repeat(channels, axis=0) / 10
    mixed = read_all(Samples(values, RATE))
    assert mixed.shape == (2, values.shape[1])
    path = write_sound(tmp_path / "a.wav", values, f"{channels} channels")
    np.testing.assert_allclose(read_all(path), mixed, atol=1e-6)
    if channels in (9, 11, 64):
        np.testing.assert_allclose(mixed, values[:2], atol=1e-6)


def test_the_third_of_three_unnamed_channels_is_the_centre() -> None:
    values = np.zeros((3, RATE), np.float32)
    values[2] = np.resize(tones(1), RATE)
    np.testing.assert_allclose(read_all(Samples(values, RATE)), 0.7071 * values[[2, 2]], atol=1e-4)


def test_loud_channels_do_not_clip_together() -> None:
    quiet, loud = 0.1, 0.9
    values = np.resize(tones(1) / 0.3, 2 * RATE)[None].repeat(6, axis=0)
    values[:, :RATE] *= quiet
    values[:, RATE:] *= loud
    mixed = read_all(Samples(values.astype(np.float32), RATE))[0]
    added = values[0] * (1 + 2 * 0.70711)
    assert added.max() > 2 and np.abs(mixed).max() <= 1
    np.testing.assert_allclose(mixed[: RATE * 9 // 10], added[: RATE * 9 // 10], atol=1e-4)
    assert np.corrcoef(mixed[-RATE // 2 :], added[-RATE // 2 :])[0, 1] > 0.9999  # lowered, not cut


@pytest.mark.parametrize("rate", [1, 2, 50, 7919, 11025, 44100, 192000, 384000])
@pytest.mark.parametrize("channels", [1, 6])
def test_any_rate_is_as_long_as_it_was(rate: int, channels: int) -> None:
    values = np.full((channels, 2 * rate), 0.1, np.float32)
    span = read_sound(Samples(values, rate), Fraction(0), Fraction(10))
    assert span is not None and span.values.shape == (min(channels, 2), 2 * rate)
    assert read_waveform(Samples(values, rate)).shape == (32000,)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_is_not_a_number_is_silent_and_what_is_too_loud_is_clipped(
    tmp_path: Path, channels: int
) -> None:
    values = tones(channels)
    values[:, 1000:1100] = np.nan
    values[:, 1100:1200] = np.inf
    values[:, 2000:2100] = 1e30
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    for source in (write_sound(tmp_path / "a.wav", values, layout), Samples(values, RATE)):
        mixed = read_all(source)
        assert not mixed[:, 1000:1200].any() and mixed[:, 2000:2100] == pytest.approx(1)
        before, after = slice(0, 900), slice(3500, None)
        for span in (before, after):
            assert 0.2 < np.abs(mixed[:, span]).max() <= 1
        with VideoWriter(
            tmp_path / "b.mp4", 64, 48, Fraction(25), audio_source=source, overwrite=True
        ) as writer:
            for image in grey_images(6):
                writer.write(image)
        assert np.isfinite(decoded_sound(tmp_path / "b.mp4")[0]).all()


def test_recordings_of_other_layouts_and_rates_joined_end_to_end(tmp_path: Path) -> None:
    parts = [
        make_video(
            tmp_path / f"{number}.ts",
            grey_images(25),
            sound=np.resize(tones(1), (channels, 2 * rate)).astype(np.float32),
            sound_rate=rate,
            sound_codec="mp2",
        )
        for number, (channels, rate) in enumerate([(1, 48000), (2, 32000)])
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    waveform = read_waveform(joined)
    assert len(waveform) / 16000 == pytest.approx(4, abs=0.1)
    assert all(np.abs(second).max() > 0.2 for second in np.split(waveform[:64000], 4))


def test_a_hole_of_hours_in_the_sound_is_not_held_in_memory(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_f32le", RATE)
        stream.layout = "mono"
        for second in (0, 100_000_000):
            frame = av.AudioFrame.from_ndarray(tones(1, 0.1), format="flt", layout="mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = second * RATE
            container.mux(stream.encode(frame))
    waveform = read_waveform(tmp_path / "a.mkv", duration=Fraction(1))
    assert np.abs(waveform[:1600]).max() > 0.2 and not waveform[1700:].any()
