"""MP4 and MOV files as players read them: with what cameras append, and recordings that were cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from av.video.stream import VideoStream
from media_files import grey_images, grey_levels, make_video

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving

TRAILERS = {
    "ID3v1 tag": b"TAG" + b"A song".ljust(125, b"\0"),
    "camera's index": (b"\x10\x27" + bytes(range(200))) * 3 + b"8db42d694ccc418790edff439fe026bf",
    "rest of an upload": b"\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n",
    "zeros": bytes(5000),
    "a box that does not end": b"\x7f\xff\xff\xfffree",
}


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "fast.mp4", "fragments.mp4"])
def test_what_comes_after_the_last_box_is_no_matter(tmp_path: Path, name: str, trailer: bytes) -> None:
    flags = {"fast.mp4": "+faststart", "fragments.mp4": "+frag_keyframe+empty_moov"}
    options = {"movflags": flags[name]} if name in flags else {}
    path = make_video(tmp_path / name, grey_images(12), container_options=options, options={"g": "4"})
    path.write_bytes(path.read_bytes() + trailer)
    source = open_driving(path)
    levels = [round(image.mean()) for _, _, image in source.frames()]
    assert levels == pytest.approx(grey_levels(12), abs=5)
    assert source.frame_rate == 25


@pytest.mark.parametrize("part", [0.4, 0.7, 0.97])
def test_the_fragments_of_a_recording_that_was_cut_off_count(tmp_path: Path, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 48, 64, 3), np.uint8)
    flags = {"movflags": "+frag_keyframe+empty_moov"}
    path = make_video(tmp_path / "a.mp4", noise, container_options=flags, options={"g": "4"})
    whole = [image for _, _, image in open_driving(path).frames()]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    source = open_driving(path)
    images = [image for _, _, image in source.frames()]
    assert source.num_frames == len(images) and abs(len(images) - part * 24) <= 4
    # the last one may be cut itself
    assert all(np.array_equal(a, b) for a, b in zip(images[:-1], whole, strict=False))
    assert source.notes == ("the recording is cut off; what is there of it is used",)


@pytest.mark.skipif(
    not hasattr(VideoStream, "index_entries"), reason="PyAV before 17 keeps the index to itself"
)
def test_a_download_that_lacks_samples_is_refused_also_at_the_border_of_a_box(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8)
    path = make_video(tmp_path / "a.mp4", noise, container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    begin = data.index(b"mdat") - 4
    # The end of what there is in a box of its own, so that every box is whole.
    kept = len(data) - 5000
    path.write_bytes(data[:begin] + (kept - begin).to_bytes(4, "big") + data[begin + 4 : kept])
    with pytest.raises(InputError, match="is cut off: its last part is missing"):
        open_driving(path)


def test_a_recording_without_its_index_says_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(12))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    with pytest.raises(InputError, match="is cut off: its index, which comes last, is missing"):
        open_driving(path)
