"""What is written has every frame, the exact rate and the right colours, or it is not there at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import grey_images, grey_levels, make_video

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.media.writing import VideoWriter

ROOT = Path(__file__).resolve().parents[2]


def _write(path: Path, images: list[np.ndarray], frame_rate: Fraction | int = 25, **options) -> Path:
    height, width = images[0].shape[:2]
    with VideoWriter(path, width, height, Fraction(frame_rate), **options) as writer:
        for image in images:
            writer.write(image)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_every_frame_arrives_in_order(tmp_path: Path, suffix: str) -> None:
    source = open_driving(_write(tmp_path / f"a{suffix}", grey_images(12)))
    assert source.num_frames == 12 and source.frame_rate == 25 and source.duration == Fraction(12, 25)
    assert [round(image.mean()) for _, _, image in source.frames()] == pytest.approx(grey_levels(12), abs=3)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60), Fraction(25, 2), Fraction(1000, 73)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_frame_rate_is_the_exact_fraction(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    path = _write(tmp_path / f"a{suffix}", grey_images(30), rate)
    assert open_driving(path).frame_rate == rate
    if suffix == ".mp4":
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == rate
            assert container.streams.video[0].frames == 30


def test_a_single_frame_is_a_video(tmp_path: Path) -> None:
    source = open_driving(_write(tmp_path / "a.mp4", grey_images(1)))
    assert source.num_frames == 1 and source.frame_rate == 25


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_uneven_times_are_kept(tmp_path: Path, suffix: str) -> None:
    times = [Fraction(value, 30) for value in (0, 3, 4, 5, 9, 10, 20, 21)]
    with VideoWriter(tmp_path / f"a{suffix}", 64, 48, Fraction(10)) as writer:
        for time, image in zip(times, grey_images(8), strict=True):
            writer.write(image, time, duration=Fraction(1, 2) if time == times[-1] else None)
    source = open_driving(tmp_path / f"a{suffix}")
    assert source.variable_frame_rate
    assert [float(time) for _, time, _ in source.frames()] == pytest.approx(
        list(map(float, times)), abs=0.001
    )
    if suffix == ".mp4":
        assert float(source.duration) == pytest.approx(21 / 30 + 1 / 2, abs=0.001)


def test_times_of_a_constant_rate_give_a_constant_rate(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    with VideoWriter(tmp_path / "a.mp4", 64, 48, rate) as writer:
        for index, image in enumerate(grey_images(20)):
            writer.write(image, index / rate)
    source = open_driving(tmp_path / "a.mp4")
    assert source.frame_rate == rate and not source.variable_frame_rate


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_come_back(tmp_path: Path, suffix: str) -> None:
    colours = [(255, 255, 255), (0, 0, 0), (220, 60, 40), (40, 180, 60), (50, 70, 210), (224, 172, 140)]
    images = [np.full((48, 64, 3), colour, np.uint8) for colour in colours]
    path = _write(tmp_path / f"a{suffix}", images)
    for (_, _, image), colour in zip(open_driving(path).frames(), colours, strict=True):
        assert image[24, 32].tolist() == pytest.approx(colour, abs=3)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        # BT.709, limited range: players need not guess.
        assert (context.colorspace, context.color_range, context.pix_fmt) == (1, 1, "yuv420p")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_an_odd_size_is_padded_by_one_row_and_column(tmp_path: Path, name: str) -> None:
    image = np.zeros((47, 63, 3), np.uint8)
    image[:, 40:], image[40:, :] = 200, 100
    source = open_driving(_write(tmp_path / name, [image] * 3))
    assert (source.width, source.height) == (64, 48)
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge").astype(int)
    for _, _, written in source.frames():
        assert np.abs(written - padded).mean() < 2


@pytest.mark.parametrize("name", ["a.webm", "a.gif"])
def test_an_odd_size_is_kept_where_the_format_can(tmp_path: Path, name: str) -> None:
    source = open_driving(_write(tmp_path / name, grey_images(3, 63, 47)))
    assert (source.width, source.height) == (63, 47)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), np.uint8))
    sound = make_video(tmp_path / "sound.mkv", grey_images(6), sound=np.zeros((2, 9600), np.float32))
    first, second = (
        _write(tmp_path / f"{name}{suffix}", images, audio_source=sound).read_bytes() for name in ("a", "b")
    )
    assert first == second


def test_a_frame_of_another_size_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="48, 64, 3"),
        VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(25)) as writer,
    ):
        writer.write(np.zeros((48, 60, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def _refusal(make: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_output_that_cannot_be_is_refused_before_any_frame(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, problem in (
        ("missing/a.mp4", "folder does not exist"),
        ("file/a.mp4", "folder does not exist"),
        ("a.xyz", ".mp4, .mov"),
        (".", "cannot be written in this format"),
    ):
        assert problem in _refusal(lambda name=name: VideoWriter(tmp_path / name, 64, 48, Fraction(25)))
    (tmp_path / "a.mp4").mkdir()
    assert "is a folder" in _refusal(lambda: VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(25)))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write to")
def test_an_unwritable_folder_is_refused() -> None:
    message = _refusal(lambda: VideoWriter("/proc/a.mp4", 64, 48, Fraction(25)))
    assert message.startswith("/proc/a.mp4: cannot be written")


def test_an_existing_output_is_kept_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    assert "exists already" in _refusal(lambda: VideoWriter(path, 64, 48, Fraction(25)))
    with VideoWriter(path, 64, 48, Fraction(25), overwrite=True) as writer:
        writer.write(grey_images(1)[0])
        assert path.read_bytes() == b"precious"
    assert open_driving(path).num_frames == 1


def test_an_output_made_by_someone_else_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"

    def write() -> None:
        with VideoWriter(path, 64, 48, Fraction(25)) as writer:
            writer.write(grey_images(1)[0])
            path.write_bytes(b"precious")

    assert "exists already" in _refusal(write)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"] and path.read_bytes() == b"precious"


def test_the_output_is_never_the_input(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(3))
    before = path.read_bytes()
    (tmp_path / "link.mp4").symlink_to(path)
    for name in ("a.mp4", "link.mp4"):
        message = _refusal(
            lambda name=name: VideoWriter(
                tmp_path / name, 64, 48, Fraction(25), audio_source=path, overwrite=True
            )
        )
        assert "is an input" in message
    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("num_frames", [0, 60])
def test_an_interrupted_video_leaves_nothing(
    tmp_path: Path, error: type[BaseException], num_frames: int
) -> None:
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(25)) as writer:
        for image in grey_images(num_frames):
            writer.write(image)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(25)):
            pass

    assert "no frame" in _refusal(write)
    assert list(tmp_path.iterdir()) == []


def test_a_sound_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "sound.mp4").write_text("this is a text")

    def write(name: str) -> None:
        _write(tmp_path / "a.mp4", grey_images(1), audio_source=tmp_path / name)

    assert "sound.mp4: its sound cannot be read" in _refusal(lambda: write("sound.mp4"))
    assert "no such file" in _refusal(lambda: write("missing.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["sound.mp4"]


FULL_DISK = """
import resource, sys
from fractions import Fraction
import numpy as np
from megactor_core.errors import InputError
from megactor_core.media.writing import VideoWriter

path, limit = sys.argv[1], int(sys.argv[2])
images = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with VideoWriter(path, 64, 48, Fraction(25), audio_source=sys.argv[3]) as writer:
        for image in images:
            writer.write(image)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("suffix", "part"),
    [(".mp4", 0.0), (".mp4", 0.3), (".mp4", 0.98), (".mkv", 0.3), (".mkv", 0.98), (".gif", 0.3)],
)
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path: Path, suffix: str, part: float) -> None:
    pytest.importorskip("resource")
    sound = make_video(tmp_path / "sound.mkv", grey_images(30), sound=np.zeros((1, 57600), np.float32))
    images = list(np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8))
    size = _write(tmp_path / f"whole{suffix}", images, audio_source=sound).stat().st_size
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / f"a{suffix}"
    arguments = [sys.executable, "-c", FULL_DISK, str(path), str(int(size * part)), str(sound)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: cannot be written (file too large)")
    assert done.stdout.count("\n") == 1
    assert list(path.parent.iterdir()) == []
