"""A part of a driver, and pictures in memory, are drivers like a file, with the sound that is theirs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_files import SAMPLE_RATE, beep, beep_time, grey_images, grey_levels, make_video

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.media.samples import Samples
from megactor_core.media.sound import read_sound
from megactor_core.media.source import DrivingSource, pictures_source
from megactor_core.media.writing import VideoWriter

NUM_FRAMES = 30


def levels(source: DrivingSource, start: int = 0, stop: int | None = None) -> list[int]:
    return [round(image.mean()) for _, _, image in source.frames(start, stop)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames at 25 a second with a tone at 0.8 s, where frame 20 appears."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, grey_images(NUM_FRAMES), sound=beep(1.2, 0.8))


def test_a_part_delivers_its_frames_from_time_0(clip: Path) -> None:
    part = open_driving(clip).part(10, -4)
    assert (part.num_frames, part.frame_rate, part.duration) == (16, 25, Fraction(16, 25))
    assert levels(part) == pytest.approx(grey_levels(NUM_FRAMES)[10:26], abs=3)
    assert levels(part, 3, 5) == pytest.approx(grey_levels(NUM_FRAMES)[13:15], abs=3)
    assert [time for _, time, _ in part.frames()] == [Fraction(index, 25) for index in range(16)]
    again = part.part(2, 4)
    assert levels(again) == pytest.approx(grey_levels(NUM_FRAMES)[12:14], abs=3)
    assert again.sound_start == Fraction(12, 25)


def test_a_part_without_frames_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match=r"clip\.mp4: frames 30 to 30 are none of its 30"):
        open_driving(clip).part(30, None)


def test_a_part_of_uneven_frames_keeps_their_times(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 13, 23, 33, 43]
    make_video(tmp_path / "a.mkv", grey_images(8), pts=pts, time_base=Fraction(1, 100))
    part = open_driving(tmp_path / "a.mkv").part(4, 8)
    assert [time for _, time, _ in part.frames()] == [Fraction(n, 10) for n in range(4)]
    assert part.frame_rate == pytest.approx(10, rel=0.01)


def test_frames_of_a_span_go_by_the_files_own_clock(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", grey_images(8), pts=range(10, 18))
    times = open_driving(tmp_path / "a.mkv").frame_times
    assert times.between(0, None) == (0, 8)
    assert times.between(0.48, 0.6) == (2, 5)
    assert times.between(5, None) == (8, 8)


def test_sound_of_a_part_lines_up_with_its_frames(tmp_path: Path, clip: Path) -> None:
    part = open_driving(clip).part(15)
    options = {"audio_source": part.sound, "audio_start": part.sound_start}
    with VideoWriter(tmp_path / "b.mp4", part.width, part.height, part.frame_rate, **options) as writer:
        for _, time, image in part.frames():
            writer.write(image, time)
    assert beep_time(tmp_path / "b.mp4") == pytest.approx(0.2, abs=0.005)


def test_sound_in_memory_is_written_like_a_files(tmp_path: Path) -> None:
    samples = Samples(np.repeat(beep(2.0, 0.5, 44100), 2, axis=0), 44100)
    for suffix in (".mp4", ".webm"):
        path = tmp_path / f"a{suffix}"
        options = {"audio_source": samples, "audio_start": Fraction(1, 5)}
        with VideoWriter(path, 64, 48, Fraction(25), **options) as writer:
            for image in grey_images(25):
                writer.write(image)
        assert beep_time(path) == pytest.approx(0.3, abs=0.005)
        written = read_sound(path, Fraction(0), Fraction(10))
        assert written.values.shape[1] / written.rate == pytest.approx(1.0, abs=0.03)


def test_a_span_of_sound_is_read_to_the_sample(clip: Path) -> None:
    span = read_sound(clip, Fraction(3, 5), Fraction(2, 5))
    assert (span.rate, span.values.shape) == (SAMPLE_RATE, (1, round(0.4 * SAMPLE_RATE)))
    assert np.argmax(np.abs(span.values[0]) > 0.2) / span.rate == pytest.approx(0.2, abs=0.005)
    rest = read_sound(clip, Fraction(1), Fraction(100))
    assert rest.values.shape[1] / rest.rate == pytest.approx(0.2, abs=0.03)
    assert read_sound(clip, Fraction(5), Fraction(1)) is None


def test_sound_that_begins_late_is_read_with_its_silence(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", grey_images(25), sound=beep(0.5, 0.1), sound_begin=Fraction(2, 5))
    span = read_sound(tmp_path / "a.mkv", Fraction(0), Fraction(1))
    assert np.argmax(np.abs(span.values[0]) > 0.2) / span.rate == pytest.approx(0.5, abs=0.03)


def test_no_sound(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", grey_images(3))
    assert read_sound(tmp_path / "a.mp4", Fraction(0), Fraction(1)) is None
    assert open_driving(tmp_path / "a.mp4").sound is None


def test_pictures_in_memory() -> None:
    samples = Samples(np.zeros((1, 100), np.float32), 100)
    source = pictures_source(grey_images(6), Fraction(30000, 1001), samples)
    assert (source.num_frames, source.width, source.height, source.has_audio) == (6, 64, 48, True)
    assert source.frame_rate == Fraction(30000, 1001)
    assert levels(source.part(2, 5)) == grey_levels(6)[2:5]
    assert source.part(2).sound is samples
