"""Clocks that start over or say nothing, rates that a format cannot hold, JPEGs joined to a stream."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import beep, decoded_sound, grey_images, grey_levels, make_video, patch_bytes
from PIL import Image

from megactor_core.media.reading import DrivingSource, open_driving
from megactor_core.media.time_stamps import NO_TIME, mend_stamps
from megactor_core.media.timing import exact_frame_rate
from megactor_core.media.writing import VideoWriter


def _levels(source: DrivingSource, start: int = 0) -> list[int]:
    return [round(image.mean()) for _, _, image in source.frames(start)]


def _times(source: DrivingSource) -> list[Fraction]:
    return [time for _, time, _ in source.frames()]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 40, 40, 120, 160], [0, 40, 80, 120, 160]),
        (
            [0, 40, 120, 120, 160],
            [0, 40, 80, 120, 160],
        ),  # which of two equal ones is wrong is seen by the gaps
        ([0, 40, 80, 60, 160], [0, 40, 80, 120, 160]),
        ([0, 40, 9_000_000, 120, 160], [0, 40, 80, 120, 160]),
        ([500, 40, 80, 120], [0, 40, 80, 120]),
        ([0, 40, 80, 80], [0, 40, 80, 120]),
        ([0, NO_TIME, NO_TIME, 120, NO_TIME], [0, 40, 80, 120, 160]),
        ([NO_TIME, 40, 80], [0, 40, 80]),
        ([0, 0, 80, 80, 160, 160, 240, 240], [*range(0, 320, 40)]),  # as some recorders of web pages write
        ([*range(0, 400, 40)] * 2, [*range(0, 800, 40)]),
        ([*range(400, 800, 40), *range(0, 400, 40)], [*range(400, 1200, 40)]),
    ],
)
def test_good_stamps_stay_and_the_others_go_between(stamps: list[int], expected: list[int]) -> None:
    mended = mend_stamps(np.array(stamps, np.int64), 40)
    assert mended is not None and mended[1] == 1
    assert mended[0].tolist() == expected


def test_two_frames_in_one_tick_come_half_a_tick_apart() -> None:
    mended = mend_stamps(np.array([0, 1, 1, 2, 3, 4], np.int64), 1)
    assert mended is not None
    times = mended[0] / mended[1]
    assert np.all(np.diff(times) > 0) and sorted({*times} - {0.5, 1.5}) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "stamps", [[NO_TIME] * 9, [7] * 9, [9, 8, 7, 6, 5, 4, 3, 2], [3, 1, 4, 1, 5, 9, 2, 6]]
)
def test_stamps_that_say_nothing_are_not_believed(stamps: list[int]) -> None:
    assert mend_stamps(np.array(stamps, np.int64), 40) is None


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_reordered_frames_in_an_avi_come_at_its_rate(tmp_path: Path, codec: str) -> None:
    path = make_video(
        tmp_path / "a.avi", grey_images(30), codec=codec, options={"bf": "2"}, time_base=Fraction(1, 25)
    )
    source = open_driving(path)
    assert source.frame_rate == 25 and source.num_frames == 30 and not source.variable_frame_rate
    assert _levels(source) == pytest.approx(grey_levels(30), abs=6)


def test_a_file_whose_stamps_are_all_the_same_never_has_the_rate_of_its_clock(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", grey_images(20), codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path)) as container, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = 0
                packet.duration = 0
                packet.stream = stream
                copy.mux(packet)
    source = open_driving(tmp_path / "b.mkv")
    assert source.num_frames == 20 and source.frame_rate == 25


def test_transport_streams_joined_end_to_end_go_on(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), 230 if index == 15 else 40, np.uint8) for index in range(50)]
    path = make_video(tmp_path / "a.ts", images, sound=beep(2, 0.6), sound_codec="mp2", options={"g": "10"})
    (tmp_path / "joined.ts").write_bytes(path.read_bytes() * 6)
    source = open_driving(tmp_path / "joined.ts")
    assert source.num_frames == 300 and source.frame_rate == 25 and source.duration == 12
    flashes = [time for _, time, image in source.frames() if image.mean() > 150]
    assert flashes == [Fraction(3, 5) + 2 * part for part in range(6)]
    with VideoWriter(tmp_path / "b.mp4", 64, 48, source.frame_rate, audio_source=source.path) as writer:
        for _, time, image in source.frames():
            writer.write(image, time)
    samples, rate = decoded_sound(tmp_path / "b.mp4")
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    begins = loud[np.flatnonzero(np.diff(loud, prepend=-rate) > rate)] / rate
    assert begins == pytest.approx([float(flash) for flash in flashes], abs=0.05)


def test_sound_stays_in_step_where_the_first_stamp_is_wrong(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", grey_images(25), sound=beep(1, 0.4), codec="mjpeg", pix_fmt="yuvj420p"
    )
    with av.open(str(path)) as container, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        streams = [copy.add_stream_from_template(stream) for stream in container.streams]
        for packet in container.demux():
            if packet.size:
                if packet.stream.type == "video" and packet.pts == 0:
                    packet.pts = 3000
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    source = open_driving(tmp_path / "b.mkv")
    assert _times(source) == [Fraction(index, 25) for index in range(25)]
    with VideoWriter(tmp_path / "c.mp4", 64, 48, source.frame_rate, audio_source=source.path) as writer:
        for _, time, image in source.frames():
            writer.write(image, time)
    samples, rate = decoded_sound(tmp_path / "c.mp4")
    assert np.argmax(np.abs(samples) > 0.2) / rate == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("rate", [50, 60, 100, 120, Fraction(60000, 1001)])
def test_a_gif_of_a_fast_clip_leaves_frames_out_and_says_so(tmp_path: Path, rate: Fraction | int) -> None:
    images = grey_images(24)
    with VideoWriter(tmp_path / "a.gif", 64, 48, Fraction(rate)) as writer:
        for index, image in enumerate(images):
            writer.write(image, index / Fraction(rate), duration=1 / Fraction(rate))
    with Image.open(tmp_path / "a.gif") as gif:
        delays = []
        for index in range(gif.n_frames):
            gif.seek(index)
            delays.append(gif.info["duration"])
    assert min(delays) >= 20
    assert sum(delays) / 1000 == pytest.approx(24 / rate, abs=0.011)
    left_out = 24 - len(delays)
    assert (left_out > 0) == (rate > 50)
    expected = f"{left_out} of 24 frames were left out: .gif cannot show a frame for less than 20 ms"
    assert writer.note == (expected if left_out else "")
    # What is shown is what belongs there.
    for _, time, image in open_driving(tmp_path / "a.gif").frames():
        numbers = [round(float(time * rate) + off) for off in (-0.6, 0, 0.6)]
        assert any(abs(image.mean() - images[number].mean()) < 2 for number in numbers if 0 <= number < 24)


def test_a_short_frame_before_a_long_one_does_not_hide_it(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.gif", 64, 48, Fraction(25)) as writer:
        for image, begin, end in zip(grey_images(2), (0, 10), (10, 2000), strict=True):
            writer.write(image, Fraction(begin, 1000), duration=Fraction(end - begin, 1000))
    source = open_driving(tmp_path / "a.gif")
    assert source.num_frames == 2 and source.duration == 2
    assert _times(source) == [0, Fraction(2, 100)]


def test_a_gif_holds_a_frame_for_longer_than_its_delay_can(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.gif", 64, 48, Fraction(1, 1500)) as writer:
        for image in grey_images(2):
            writer.write(image)
    source = open_driving(tmp_path / "a.gif")
    assert source.duration == 3000
    shown = [round(image.mean()) for _, time, image in source.frames() if time < 1500]
    assert shown == pytest.approx([grey_levels(1)[0]] * len(shown), abs=2)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("rate", [Fraction(1, 10), Fraction(15000, 1001), Fraction(1000)])
def test_slow_and_fast_rates_are_held(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    with VideoWriter(tmp_path / f"a{suffix}", 64, 48, rate) as writer:
        for image in grey_images(12):
            writer.write(image)
    source = open_driving(tmp_path / f"a{suffix}")
    assert source.num_frames == 12 and source.frame_rate == rate and source.duration == 12 / rate


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (float(np.float32(29.97)), Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (29.9, Fraction(299, 10)),
        (24.0, Fraction(24)),
        (0.0005, Fraction(1, 2000)),
    ],
)
def test_broadcast_rates_are_known_by_their_decimals(typed: float, meant: Fraction) -> None:
    assert exact_frame_rate(typed) == meant


def test_thirty_frames_a_second_survive_the_fractions_of_a_png(tmp_path: Path) -> None:
    first, *rest = (Image.fromarray(image) for image in grey_images(90))
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=1000 / 30)
    source = open_driving(tmp_path / "a.png")
    assert source.frame_rate == 30 and source.duration == 3 and not source.variable_frame_rate


def _jpeg(level: int, size: tuple[int, int] = (64, 48), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.mjpeg", "a.mjpg", "a.jpg", "a.mp4"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpegs_that_follow_one_another_are_a_video(tmp_path: Path, name: str, options: dict) -> None:
    (tmp_path / name).write_bytes(b"".join(_jpeg(level, **options) for level in grey_levels(6)))
    source = open_driving(tmp_path / name)
    assert source.num_frames == 6 and source.frame_rate == 25 and source.duration == Fraction(6, 25)
    assert _levels(source) == pytest.approx(grey_levels(6), abs=3)
    assert _levels(source, 4) == pytest.approx(grey_levels(6)[4:], abs=3)


def test_a_picture_with_more_behind_it_stays_a_picture(tmp_path: Path) -> None:
    picture = _jpeg(90, (320, 240))
    video = make_video(tmp_path / "video.mp4", grey_images(6)).read_bytes()
    behind = {
        "preview.jpg": _jpeg(40, (80, 60)),
        "motion_photo.jpg": video,
        "trailer.jpg": b"\xff\xd8trailer" * 9,
    }
    for name, content in behind.items():
        (tmp_path / name).write_bytes(picture + content)
    left, right = (Image.new("RGB", (64, 48), (level, level, level)) for level in (90, 150))
    left.save(tmp_path / "camera.mpo", save_all=True, append_images=[right])
    for name in (*behind, "camera.mpo"):
        source = open_driving(tmp_path / name)
        assert source.num_frames == 1, name
        assert _levels(source) == pytest.approx([90], abs=2)


def test_an_edit_list_ends_a_frame_that_is_held_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    # The edit leaves the last frame out, and ends the one before at 1 s.
    stamps = [0, 40, 80, 120, 10_000]
    make_video(path, grey_images(5), pts=stamps, time_base=Fraction(1, 1000), options={"bf": "0"})
    patch_bytes(path, b"elst", 8, struct.pack(">I", 1000))
    source = open_driving(path)
    assert source.num_frames == 4 and source.duration == pytest.approx(1, abs=0.001)
    assert _levels(source) == pytest.approx(grey_levels(4), abs=6)


@pytest.mark.parametrize("before", [25, 126_000 // 3600 + 25])
def test_a_clock_of_33_bits_that_wraps_goes_on(tmp_path: Path, before: int) -> None:
    pts = [2**33 + 3600 * (index - before) for index in range(100)]
    options = {"mpegts_copyts": "1"}
    path = tmp_path / "a.ts"
    make_video(path, grey_images(100), pts=pts, time_base=Fraction(1, 90_000), container_options=options)
    source = open_driving(path)
    assert source.num_frames == 100 and source.frame_rate == 25 and source.duration == 4
    assert _levels(source) == pytest.approx(grey_levels(100), abs=6)
