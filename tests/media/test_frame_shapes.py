"""Interlaced frames are made whole, and a stream that changes its size keeps the shape of what it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import make_video

from megactor_core.media.reading import open_driving


def _woven(index: int) -> np.ndarray:
    """A bar that moves on between the two fields of a frame."""
    image = np.full((96, 128, 3), 60, np.uint8)
    for field in (0, 1):
        left = 10 + (2 * index + field) * 4
        image[field::2, left : left + 20] = 220
    return image


def _combing(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image[..., 0].astype(int), axis=0)).mean())


def test_interlaced_frames_are_deinterlaced_and_keep_their_number_and_times(tmp_path: Path) -> None:
    images = [_woven(index) for index in range(12)]
    path = make_video(tmp_path / "a.mp4", images, options={"x264-params": "tff=1", "crf": "8"})
    source = open_driving(path)
    frames = list(source.frames())
    assert [index for index, _, _ in frames] == list(range(12)) and source.frame_rate == 25
    assert source.notes == ("interlaced video: it was deinterlaced",)
    assert _combing(images[5]) > 5
    for _, _, image in frames:
        assert _combing(image) < 0.5
    # The bar is where one of the frame's fields has it: the first, of which x264 makes the lower one here.
    assert int(np.argmax(frames[6][2][48, :, 0] > 140)) == pytest.approx(10 + 13 * 4, abs=1)
    for start, stop in ((0, 3), (5, 6), (4, 12)):
        part = [image for _, _, image in source.frames(start, stop)]
        assert all(np.array_equal(a, b) for a, (_, _, b) in zip(part, frames[start:stop], strict=True))


def test_progressive_frames_are_left_as_they_are(tmp_path: Path) -> None:
    source = open_driving(make_video(tmp_path / "a.mp4", [_woven(index) for index in range(4)]))
    assert all(_combing(image) > 5 for _, _, image in source.frames()) and not source.notes


@pytest.mark.parametrize(("size", "bars"), [((48, 64), None), ((96, 64), "sides"), ((48, 128), "top")])
def test_a_stream_that_changes_its_size_is_fitted_not_squeezed(
    tmp_path: Path, size: tuple[int, int], bars: str | None
) -> None:
    first = make_video(tmp_path / "a.h264", [np.full((96, 128, 3), 200, np.uint8)] * 6)
    second = make_video(tmp_path / "b.h264", [np.full((*size, 3), 120, np.uint8)] * 6)
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    source = open_driving(path)
    images = [image for _, _, image in source.frames()]
    assert len(images) == source.num_frames == 12
    assert all(image.shape == (96, 128, 3) for image in images)
    assert np.abs(images[2].astype(int) - 200).max() < 4
    changed = images[9].astype(int)
    assert np.abs(changed[48, 64] - 120).max() < 4
    assert (changed[48, 4].max() == 0) == (bars == "sides") and (changed[4, 64].max() == 0) == (bars == "top")
    assert bool(source.notes) == (bars is not None)
