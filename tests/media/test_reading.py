"""A driving video delivers exactly its frames, upright, at their times, whatever the file is like."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import decoded_levels, grey_images, grey_levels, make_video, patch_bytes

from megactor_core.media.reading import DrivingSource, open_driving

NUM_FRAMES = 12


def _levels(source: DrivingSource, start: int = 0, stop: int | None = None) -> list[int]:
    return [round(image.mean()) for _, _, image in source.frames(start, stop)]


def _times(source: DrivingSource) -> list[Fraction]:
    return [time for _, time, _ in source.frames()]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.flv", "libx264", "yuv420p"),
        ("a.h264", "libx264", "yuv420p"),
        ("a.mp4", "libx265", "yuv420p"),
        ("ten_bit.mp4", "libx265", "yuv420p10le"),
        ("ten_bit.mkv", "ffv1", "yuv420p10le"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_every_format_delivers_its_frames_in_order(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    make_video(tmp_path / name, grey_images(NUM_FRAMES), codec=codec, pix_fmt=pix_fmt, options=quiet)
    source = open_driving(tmp_path / name)
    assert (source.width, source.height, source.num_frames) == (64, 48, NUM_FRAMES)
    assert source.frame_rate == 25 and source.duration == Fraction(NUM_FRAMES, 25)
    assert not source.has_audio and not source.variable_frame_rate
    frames = list(source.frames())
    assert [index for index, _, _ in frames] == list(range(NUM_FRAMES))
    assert [time for _, time, _ in frames] == [Fraction(index, 25) for index in range(NUM_FRAMES)]
    assert all(image.dtype == np.uint8 and image.shape == (48, 64, 3) for _, _, image in frames)
    assert _levels(source) == pytest.approx(grey_levels(NUM_FRAMES), abs=5)
    assert source.num_frames == len(decoded_levels(tmp_path / name))


@pytest.mark.parametrize(
    "rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(25, 2)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_frame_rate_is_the_exact_fraction(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    make_video(tmp_path / f"a{suffix}", grey_images(30), rate)
    source = open_driving(tmp_path / f"a{suffix}")
    assert source.frame_rate == rate and source.num_frames == 30
    assert _times(source)[-1] == 29 / rate


def test_a_part_is_the_same_as_in_the_whole_and_can_be_read_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(40), options={"g": "12", "bf": "3"})
    source = open_driving(path)
    whole = [image for _, _, image in source.frames()]
    for start, stop in ((0, 5), (1, 2), (11, 14), (35, None), (35, 99), (-3, None), (40, None), (7, 3)):
        expected = range(40)[start:stop]
        for _ in range(2):
            part = list(source.frames(start, stop))
            assert [index for index, _, _ in part] == list(expected)
            assert all(np.array_equal(image, whole[index]) for index, _, image in part)


def test_variable_frame_rate_keeps_each_frames_time(tmp_path: Path) -> None:
    pts = [0, 3, 4, 5, 9, 10, 20, 21]
    path = make_video(tmp_path / "a.mp4", grey_images(8), 10, pts=pts, time_base=Fraction(1, 30))
    source = open_driving(path)
    assert source.variable_frame_rate and source.num_frames == 8
    assert _times(source) == [Fraction(value, 30) for value in pts]
    assert source.duration > Fraction(21, 30)
    assert source.frame_rate == pytest.approx(8 / source.duration)


def test_a_dropped_frame_in_a_coarse_time_base_is_a_gap_not_another_rate(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.avi", grey_images(5), pts=[0, 1, 2, 4, 5], codec="mjpeg", pix_fmt="yuvj420p"
    )
    source = open_driving(path)
    assert source.num_frames == len(decoded_levels(path))
    assert _times(source)[3] == Fraction(4, 25)


def test_a_recording_that_starts_late_or_before_zero_starts_at_its_first_frame(tmp_path: Path) -> None:
    for begin in (-10, 500):
        path = make_video(tmp_path / f"from{begin}.mkv", grey_images(6), pts=[begin + i for i in range(6)])
        source = open_driving(path)
        assert source.num_frames == 6 and _times(source)[0] == 0 and source.frame_rate == 25


def test_an_edit_list_that_skips_frames_is_respected(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(20), options={"bf": "0", "g": "20"})
    with av.open(str(path)) as container:
        ticks = container.streams.video[0].time_base.denominator // 25
    data = path.read_bytes()
    begin = data.index(b"elst") + 4
    media_time = struct.unpack(">i", data[begin + 12 : begin + 16])[0]
    patch_bytes(path, b"elst", 12, struct.pack(">i", media_time + 5 * ticks))
    source = open_driving(path)
    assert source.num_frames == len(decoded_levels(path)) == 15
    assert _levels(source) == pytest.approx(grey_levels(20)[5:], abs=5)
    assert _levels(source, 3, 5) == pytest.approx(grey_levels(20)[8:10], abs=5)


def _corners() -> np.ndarray:
    """Red, green on top; blue, grey below; 64 wide, 48 high."""
    image = np.full((48, 64, 3), 128, np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    return image


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda a: a),
        ((0, 1, -1, 0), lambda a: np.rot90(a, 3)),  # a phone held upright: turn clockwise
        ((-1, 0, 0, -1), lambda a: np.rot90(a, 2)),
        ((0, -1, 1, 0), lambda a: np.rot90(a)),
        ((-1, 0, 0, 1), lambda a: a[:, ::-1]),  # a front camera's mirror image
    ],
)
def test_rotation_metadata_is_applied(tmp_path: Path, matrix: tuple[int, ...], turn) -> None:
    path = make_video(tmp_path / "a.mp4", [_corners()] * 3)
    a, b, c, d = (value * 65536 for value in matrix)
    patch_bytes(path, b"tkhd", 40, struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30))
    source = open_driving(path)
    expected = turn(_corners())
    assert (source.height, source.width) == expected.shape[:2]
    for _, _, image in source.frames():
        assert image.shape == expected.shape and image.flags.c_contiguous
        for y, x in ((8, 8), (8, -8), (-8, 8), (-8, -8)):
            assert np.abs(image[y, x].astype(int) - expected[y, x]).max() < 12


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"), [(".mkv", "ffv1", "yuv420p"), (".mp4", "libx264", "yuv444p")]
)
def test_odd_sizes_are_kept(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    path = make_video(tmp_path / f"a{suffix}", grey_images(3, 63, 47), codec=codec, pix_fmt=pix_fmt)
    source = open_driving(path)
    assert (source.width, source.height) == (63, 47)
    assert [image.shape for _, _, image in source.frames()] == [(47, 63, 3)] * 3


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "size", "matrix", "full_range"),
    [
        ("a.mp4", "libx264", "yuv420p", (64, 48), 1, False),
        ("a.mp4", "libx264", "yuv420p", (64, 48), 5, False),
        ("a.mp4", "libx264", "yuv420p", (64, 48), 1, True),
        ("a.mp4", "libx264", "yuv420p", (64, 48), None, False),  # untagged: BT.601 in standard definition
        ("a.mp4", "libx264", "yuv420p", (960, 720), None, False),  # untagged: BT.709 in high definition
        ("a.avi", "mjpeg", "yuvj420p", (64, 48), None, True),
        ("a.mkv", "ffv1", "yuv444p10le", (64, 48), 9, False),
        ("a.mkv", "ffv1", "bgr0", (64, 48), None, True),
    ],
)
def test_colours_are_right_whatever_matrix_and_range_the_file_uses(
    tmp_path: Path,
    name: str,
    codec: str,
    pix_fmt: str,
    size: tuple[int, int],
    matrix: int | None,
    full_range: bool,
) -> None:
    colour = np.array((200, 60, 90))
    width, height = size
    with av.open(str(tmp_path / name), "w") as container:
        video = container.add_stream(codec, 25)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        if matrix is not None:
            video.codec_context.colorspace = matrix
            video.codec_context.color_range = 2 if full_range else 1
        frame = _flat_frame(colour, width, height, pix_fmt, matrix or (1 if height > 576 else 5), full_range)
        container.mux([*video.encode(frame), *video.encode(None)])
    ((_, _, image),) = open_driving(tmp_path / name).frames()
    assert image[height // 2, width // 2].tolist() == pytest.approx(colour.tolist(), abs=3)


def _flat_frame(
    colour: np.ndarray, width: int, height: int, pix_fmt: str, matrix: int, full_range: bool
) -> av.VideoFrame:
    """One colour by the formulas of ITU-T H.273: 1 is BT.709, 5 is BT.601, 9 is BT.2020."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    luma = float(colour @ (red, 1 - red - blue, blue)) / 255
    chroma = [(colour[2] / 255 - luma) / (1 - blue) / 2, (colour[0] / 255 - luma) / (1 - red) / 2]
    frame = av.VideoFrame(width, height, pix_fmt)
    if pix_fmt == "bgr0":
        planes = [bytes([*colour[::-1], 0])]
    else:
        scale = 4 if "10" in pix_fmt else 1
        values = [255 * luma if full_range else 16 + 219 * luma]
        values += [128 + (255 if full_range else 224) * value for value in chroma]
        planes = [round(value * scale).to_bytes(scale // 4 + 1, "little") for value in values]
    for plane, sample in zip(frame.planes, planes, strict=True):
        plane.update((sample * (plane.buffer_size // len(sample) + 1))[: plane.buffer_size])
    return frame


def test_non_square_pixels_become_square(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(2), sample_aspect_ratio=Fraction(4, 3))
    source = open_driving(path)
    assert (source.width, source.height) == (85, 48)
    assert next(source.frames())[2].shape == (48, 85, 3)


def test_sound_is_noticed(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(5), sound=np.zeros((2, 9600), np.float32))
    assert open_driving(path).has_audio


def test_the_header_is_not_believed(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", grey_images(NUM_FRAMES), codec="mjpeg", pix_fmt="yuvj420p")
    patch_bytes(path, b"avih", 4 + 16, struct.pack("<I", 5000))
    patch_bytes(path, b"strh", 4 + 32, struct.pack("<I", 5000))
    source = open_driving(path)
    assert source.num_frames == NUM_FRAMES == len(list(source.frames()))


@pytest.mark.parametrize("damaged", [5, NUM_FRAMES - 1])
def test_a_damaged_frame_does_not_change_the_count(tmp_path: Path, damaged: int) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(NUM_FRAMES), options={"g": "1"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[damaged]
    data[position : position + size] = bytes([255]) * size
    path.write_bytes(data)
    source = open_driving(path)
    levels = _levels(source)
    assert source.num_frames == len(levels) == NUM_FRAMES
    expected = grey_levels(NUM_FRAMES)
    expected[damaged] = expected[damaged - 1]
    assert levels == pytest.approx(expected, abs=5)


def test_a_recording_cut_off_in_a_streamable_format_gives_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", grey_images(60), options={"g": "5"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_driving(path)
    assert 5 < source.num_frames < 60
    assert source.num_frames == len(list(source.frames()))
