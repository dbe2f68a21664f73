"""A file may have any name that its file system allows."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_files import grey_images, make_video
from PIL import Image

from megactor_core.errors import InputError
from megactor_core.files import check_output, new_file
from megactor_core.media.pictures import load_picture, save_picture
from megactor_core.media.reading import open_driving
from megactor_core.media.sound import read_sound
from megactor_core.media.writing import VideoWriter

NAMES = [
    "2024-05-01T12:30:00",
    "take:1",
    "http:x",
    "concat:a|b",
    "pipe:0",
    "file:x",
    "-i",
    "%03d",
    "a b 'c' \"d\" & e; f",
    "two\nlines",
    "\N{GRINNING FACE}" * 61,
    "x" * 251,
    os.fsdecode(b"caf\xe9"),
]
pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system allows fewer names")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_video_is_written_and_read_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sound = make_video(tmp_path / "sound.mp4", grey_images(5), sound=np.zeros((1, 9600), np.float32))
    monkeypatch.chdir(tmp_path)
    path = Path(f"{name}.mp4")
    with VideoWriter(path, 64, 48, Fraction(25), audio_source=sound) as writer:
        for image in grey_images(5):
            writer.write(image)
    assert sorted(os.listdir()) == sorted([f"{name}.mp4", "sound.mp4"])
    source = open_driving(path)
    assert source.num_frames == len(list(source.frames())) == 5 and source.has_audio
    assert read_sound(path, Fraction(0), Fraction(1, 5)) is not None
    picture = Path(f"{name}.png")
    save_picture(picture, grey_images(1)[0])
    assert load_picture(picture).shape == (48, 64, 3)
    assert open_driving(picture).num_frames == 1


def test_a_name_stands_for_one_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a1.tga", "a2.tga", "a%d.tga"):
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / name)
    assert open_driving("a%d.tga").num_frames == 1


def test_a_name_too_long_is_told_before_any_work(tmp_path: Path) -> None:
    name = "x" * 260 + ".mp4"
    with pytest.raises(InputError, match="file name too long"):
        check_output(tmp_path / name, (".mp4",))
    with pytest.raises(InputError, match="cannot be read"):
        open_driving(tmp_path / name)


def test_a_read_that_fails_is_no_fault_of_the_disk_written_to(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, new_file(tmp_path / "a.txt"):
        (tmp_path / "gone.tar").read_bytes()
    assert str(caught.value).startswith(
        f"{tmp_path / 'gone.tar'}: cannot be used (no such file or directory)"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_sound_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_sound(tmp_path / "none.wav", Fraction(0), Fraction(1))
