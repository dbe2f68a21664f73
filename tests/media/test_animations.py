"""Animated GIF, WebP and PNG files and single pictures drive like videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_files import grey_images, grey_levels
from PIL import Image

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving


def _animation(path: Path, images: list[np.ndarray], duration: int | list[int], **options) -> Path:
    first, *rest = [Image.fromarray(image) for image in images]
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0, **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_delivers_its_frames(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    source = open_driving(_animation(tmp_path / name, grey_images(6), 40, **options))
    assert source.num_frames == 6 and source.frame_rate == 25 and source.duration == Fraction(6, 25)
    assert (source.width, source.height, source.has_audio) == (64, 48, False)
    for _ in range(2):
        frames = list(source.frames())
        assert [round(image.mean()) for _, _, image in frames] == pytest.approx(grey_levels(6), abs=1)
        assert [time for _, time, _ in frames] == [Fraction(index, 25) for index in range(6)]
    assert [index for index, _, _ in source.frames(2, 4)] == [2, 3]


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    _animation(tmp_path / "a.gif", grey_images(4), 50).rename(tmp_path / "a.mp4")
    assert open_driving(tmp_path / "a.mp4").num_frames == 4


def test_thirty_frames_a_second_survive_the_hundredths_of_a_gif(tmp_path: Path) -> None:
    source = open_driving(_animation(tmp_path / "a.gif", grey_images(6), [30, 30, 40, 30, 30, 40]))
    assert source.frame_rate == 30 and not source.variable_frame_rate


def test_frames_of_different_lengths_keep_their_times(tmp_path: Path) -> None:
    source = open_driving(_animation(tmp_path / "a.webp", grey_images(3), [100, 700, 250], lossless=True))
    assert source.variable_frame_rate and source.duration == Fraction(1050, 1000)
    assert [time for _, time, _ in source.frames()] == [0, Fraction(1, 10), Fraction(8, 10)]


def test_a_delay_of_zero_means_a_tenth_of_a_second_as_in_browsers(tmp_path: Path) -> None:
    assert open_driving(_animation(tmp_path / "a.gif", grey_images(3), 0)).frame_rate == 10


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_transparent_parts_are_white_in_every_frame(tmp_path: Path, name: str) -> None:
    opaque = [np.roll(np.tri(16, dtype=bool), 4 * index, axis=1) for index in range(4)]
    images = [np.where(mask[..., None], (200, 0, 0, 255), 0).astype(np.uint8) for mask in opaque]
    options = {"a.gif": {"disposal": 2}, "a.png": {"disposal": 1}, "a.webp": {"lossless": True}}[name]
    source = open_driving(_animation(tmp_path / name, images, 40, **options))
    for index, _, image in source.frames():
        np.testing.assert_array_equal(image, np.where(opaque[index][..., None], (200, 0, 0), 255))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp"])
def test_a_single_picture_is_one_frame(tmp_path: Path, name: str) -> None:
    Image.fromarray(grey_images(1)[0]).save(tmp_path / name)
    source = open_driving(tmp_path / name)
    assert source.num_frames == 1 and source.frame_rate > 0 and source.duration == 1 / source.frame_rate
    (frame,) = source.frames()
    assert frame[:2] == (0, 0) and frame[2].shape == (48, 64, 3)


def test_a_phone_picture_drives_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey_images(1)[0]).save(tmp_path / "a.jpg", exif=exif)
    source = open_driving(tmp_path / "a.jpg")
    assert (source.width, source.height) == (48, 64)
    assert next(source.frames())[2].shape == (64, 48, 3)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_a_truncated_animation_is_refused(tmp_path: Path, name: str) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8))
    path = _animation(tmp_path / name, noise, 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut off"):
        open_driving(path)
