"""Frames of a clip by number."""

from __future__ import annotations

import numpy as np
import pytest
from clip_shards import encode

from megactor_core.dataset.clip_file import ClipFile
from megactor_core.dataset.shards import BrokenSample


def level(number: int) -> int:
    return 20 + 5 * number


@pytest.fixture(scope="module", params=[4, 12, None])
def clip(request: pytest.FixtureRequest) -> bytes:
    images = [np.full((48, 64, 3), level(number), np.uint8) for number in range(40)]
    # Something that moves, so that the encoder makes frames of every kind.
    for number, image in enumerate(images):
        image[8:16, number : number + 16] = 255 - image[0, 0]
    return encode(images, keyframe_interval=request.param)


def numbers_of(images: list[np.ndarray]) -> list[int]:
    return [round((float(image[30:].mean()) - 20) / 5) for image in images]


@pytest.mark.parametrize(
    "wanted", [[0], [39], [5, 7, 9, 30], [30, 2, 2, 31], list(range(11, 35, 2)), list(range(40))]
)
def test_the_frames_that_were_asked_for(clip: bytes, wanted: list[int]) -> None:
    with ClipFile(clip) as reader:
        assert (reader.num_frames, reader.size, reader.frame_rate) == (40, (48, 64), 25)
        assert numbers_of(reader.read(wanted)) == wanted
        assert numbers_of(reader.read(wanted[::-1])) == wanted[::-1]


def test_a_chosen_frame_is_the_one_of_the_whole_clip(clip: bytes) -> None:
    with ClipFile(clip) as reader:
        images = list(reader.frames())
        assert numbers_of(images) == list(range(40))
        np.testing.assert_array_equal(reader.read([23])[0], images[23])


def test_frames_outside_the_clip_are_refused(clip: bytes) -> None:
    with ClipFile(clip) as reader, pytest.raises(BrokenSample, match="of a clip of 40"):
        reader.read([39, 40])


@pytest.mark.parametrize("damage", ["none", "text", "list", "cut", "zeroed"])
def test_what_is_no_video_is_a_broken_sample(clip: bytes, damage: str) -> None:
    middle = len(clip) // 2
    data = {
        "none": b"",
        "text": b"not a video",
        "list": b"ffconcat version 1.0\nfile clip.mp4\n",
        "cut": clip[:middle],
        "zeroed": clip[: middle // 4 * 3] + bytes(len(clip) - middle // 4 * 3),
    }[damage]
    with pytest.raises(BrokenSample), ClipFile(data) as reader:
        list(reader.frames())
