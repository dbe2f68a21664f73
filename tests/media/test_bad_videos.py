"""A file that cannot drive is refused in one clear line before any work; long ones do not fill the memory."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import grey_images, make_video, patch_bytes
from PIL import Image

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_driving(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.txt", "a.ans", "a.srt", "a.m3u8", "a.mp3", "noname"])
def test_text_is_refused_under_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("This is a text.\n" * 200)
    _refusal(tmp_path / name)


def test_missing_and_empty_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    assert "no such file" in _refusal(tmp_path / "missing.mp4")
    assert "empty" in _refusal(tmp_path / "empty.mp4")
    assert "folder" in _refusal(tmp_path / "folder.mp4")


@pytest.mark.parametrize("flags", [{}, {"movflags": "+faststart"}], ids=str)
@pytest.mark.parametrize("part", [0.03, 0.4, 0.7, 0.97])
def test_a_truncated_mp4_is_refused(tmp_path: Path, flags: dict[str, str], part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8)
    path = make_video(tmp_path / "a.mp4", noise, container_options=flags, options={"g": "4"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert "cut off" in _refusal(path)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi"):
        codec = "libx264" if name != "a.avi" else "mpeg4"
        _refusal(make_video(tmp_path / name, [], codec=codec))


def test_sound_without_moving_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    Image.new("RGB", (32, 32)).save(tmp_path / "cover.png")
    with av.open(str(path), "w") as container:
        audio = container.add_stream("mp3", 44100)
        audio.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux([*audio.encode(frame), *audio.encode(None)])
    assert "no moving picture" in _refusal(path)
    path.write_bytes(_cover_tag((tmp_path / "cover.png").read_bytes()) + path.read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert "no moving picture" in _refusal(path)


def _cover_tag(picture: bytes) -> bytes:
    """An ID3 tag with a cover picture."""
    body = b"\x00image/png\x00\x03\x00" + picture
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\x00\x00" + body
    size = len(frame)
    return b"ID3\x03\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + frame


def test_a_video_too_large_is_refused_from_its_header(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", grey_images(2), codec="rawvideo")
    patch_bytes(path, b"strf", 4 + 4, struct.pack("<II", 20_000, 48))
    assert "20000x48" in _refusal(path)
    patch_bytes(path, b"strf", 4 + 4, struct.pack("<II", 30_000, 30_000))
    _refusal(path)


def test_reading_a_long_video_keeps_the_memory_flat(tmp_path: Path) -> None:
    short = make_video(tmp_path / "short.mp4", grey_images(20, 320, 320))
    long = make_video(tmp_path / "long.mp4", grey_images(400, 320, 320), options={"preset": "ultrafast"})
    program = (
        "import resource, sys\n"
        "from megactor_core.media.reading import open_driving\n"
        "for path in sys.argv[1:]:\n"
        "    count = sum(1 for _ in open_driving(path).frames())\n"
        "    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(short), str(long)],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    (short_count, short_peak), (long_count, long_peak) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    assert (short_count, long_count) == (20, 400)
    # All frames together would be 120 MB.
    assert long_peak - short_peak < 30_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_driving(tmp_path / "pipe.mp4")
