"""The host's values and the core's: nothing is lost on the way, and nothing that does not fit gets in."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl, Types
from face_values import bounding_box, face_landmarks
from media.media_files import beep, grey_images, make_video
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.media.source import DrivingSource
from megactor_pack.nodes.host.faces import known_faces, landmarks_of_square
from megactor_pack.nodes.host.images import only_mask, only_picture, to_image, to_mask, to_pixels
from megactor_pack.nodes.host.video import audio_of, driving_source, images_source, one_driver

SIZE = (48, 64)
BOX = (10.0, 12.0, 30.0, 40.0)


def test_whole_levels_come_back_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = to_image(levels)
    assert image.shape == (1, 16, 16, 3) and image.dtype == torch.float32
    assert np.array_equal(only_picture(image, "image"), levels)
    assert np.array_equal(to_pixels(image), levels)


def test_levels_between_keep_their_whole_part() -> None:
    levels = np.arange(256, dtype=np.float32)
    below, above = np.nextafter(levels, np.float32(-1)).clip(0), np.nextafter(levels, np.float32(256))
    between = np.random.default_rng(0).uniform(0, 255, 3 * 10**6).astype(np.float32)
    pixels = np.concatenate([between, below, levels, above]).clip(0, 255)
    pixels = pixels[: len(pixels) // 3 * 3].reshape(1, -1, 3)
    back = to_pixels(to_image(pixels))
    assert np.array_equal(back.astype(np.uint8), pixels.astype(np.uint8))
    assert np.abs(back - pixels).max() < 1e-4


def test_transparent_parts_are_white() -> None:
    image = torch.full((1, 4, 4, 4), 0.5)
    image[..., :2, :, 3] = 0
    image[..., 2:, :, 3] = 1
    picture = only_picture(image, "image")
    assert (picture[:2] == 255).all() and (picture[2:] == 128).all()


def test_masks_come_back_exactly() -> None:
    mask = np.random.default_rng(0).random((8, 6), dtype=np.float32)
    assert np.array_equal(only_mask(to_mask(mask), "mask"), mask)
    assert np.array_equal(only_mask(torch.from_numpy(mask), "mask"), mask)


def test_several_pictures_or_masks_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"portrait: is a batch of 3 pictures.*Get Image from Batch"):
        only_picture(torch.zeros(3, 8, 8, 3), "portrait")
    with pytest.raises(InputError, match="mask: is a batch of 2 masks"):
        only_mask(torch.zeros(2, 8, 8), "mask")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames at 30000/1001 with tones at 0.3 and 0.8 s."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, grey_images(30), Fraction(30000, 1001), sound=beep(1.0, 0.3) + beep(1.0, 0.8))


def levels(source: DrivingSource) -> list[int]:
    return [round(image.mean()) for _, _, image in source.frames()]


def host_levels(video: InputImpl.VideoFromFile) -> list[int]:
    return [round(float(image.mean()) * 255) for image in video.get_components().images]


@pytest.mark.parametrize("trim", [(0, 0), (0.2, 0), (0.2, 0.3), (-0.3, 0)])
def test_a_file_is_read_as_a_stream_in_the_part_that_the_host_would_take(
    clip: Path, trim: tuple[float, float]
) -> None:
    video = InputImpl.VideoFromFile(str(clip), start_time=trim[0], duration=trim[1])
    source = driving_source(video)
    assert source.path == clip
    assert source.frame_rate == Fraction(30000, 1001)
    assert levels(source) == pytest.approx(host_levels(video), abs=2)
    ours, theirs = audio_of(source), video.get_components().audio
    assert ours["sample_rate"] == theirs["sample_rate"]
    tones = [torch.nonzero(audio["waveform"][0, 0].abs() > 0.2)[0].item() for audio in (ours, theirs)]
    # The host's sound begins with the trim, ours with the first frame after it.
    assert tones[0] / 48000 == pytest.approx(tones[1] / 48000, abs=1 / 29)
    duration = source.num_frames / source.frame_rate
    assert ours["waveform"].shape == (1, 1, pytest.approx(duration * 48000, abs=2400))


def test_a_video_in_memory_is_read_once_to_disk(clip: Path) -> None:
    sources = [driving_source(InputImpl.VideoFromFile(BytesIO(clip.read_bytes()))) for _ in range(2)]
    assert levels(sources[0]) == levels(driving_source(InputImpl.VideoFromFile(str(clip))))
    assert sources[0].path == sources[1].path


def test_a_trim_ends_a_frame_that_is_held_beyond_it(tmp_path: Path) -> None:
    stamps = [0, 1, 3, 4, 40]
    path = make_video(tmp_path / "a.mkv", grey_images(5), 10, pts=stamps, time_base=Fraction(1, 10))
    source = driving_source(InputImpl.VideoFromFile(str(path), start_time=0.3, duration=1.5))
    assert (source.num_frames, source.duration) == (2, Fraction(3, 2))
    assert [time for _, time, _ in source.frames()] == [0, Fraction(1, 10)]


def test_a_trim_without_frames_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match=r"clip\.mp4: frames 30 to 30 are none of its 30"):
        driving_source(InputImpl.VideoFromFile(str(clip), start_time=5, duration=1))


def test_a_video_of_components_keeps_rate_and_sound() -> None:
    images = torch.from_numpy(np.stack(grey_images(10))) / 255
    audio = {"waveform": torch.from_numpy(beep(0.5, 0.2))[None], "sample_rate": 48000}
    components = Types.VideoComponents(images=images, audio=audio, frame_rate=Fraction(24000, 1001))
    source = driving_source(InputImpl.VideoFromComponents(components))
    assert (source.num_frames, source.frame_rate) == (10, Fraction(24000, 1001))
    assert [round(image.mean()) for image in grey_images(10)] == levels(source)
    part = audio_of(source.part(2, 8))
    begin, length = round(2 * 48000 * 1001 / 24000), round(6 * 48000 * 1001 / 24000)
    assert torch.equal(part["waveform"], audio["waveform"][..., begin : begin + length])


def test_speech_in_the_centre_of_surround_sound_is_not_lost() -> None:
    """AUDIO of Load Audio: front left, front right, centre, low tones, back left, back right."""
    images = torch.from_numpy(np.stack(grey_images(10))) / 255
    surround = torch.zeros(1, 6, 19200)
    surround[:, 2] = torch.from_numpy(beep(0.4, 0.2))
    mixed = audio_of(images_source(images, 25, {"waveform": surround, "sample_rate": 48000}))
    torch.testing.assert_close(mixed["waveform"], 0.7071 * surround[:, [2, 2]], atol=1e-4, rtol=0)
    nothing = {"waveform": torch.zeros(1, 0, 0), "sample_rate": 48000}
    assert audio_of(images_source(images, 25, nothing)) is None


def test_a_silent_driver_has_no_audio(tmp_path: Path) -> None:
    video = InputImpl.VideoFromFile(str(make_video(tmp_path / "a.mp4", grey_images(3))))
    assert audio_of(driving_source(video)) is None


def test_frame_rates_of_images_are_exact() -> None:
    images = torch.zeros(3, 8, 8, 3)
    rates = {25.0: 25, 29.97: Fraction(30000, 1001), float(Fraction(30000, 1001)): Fraction(30000, 1001)}
    for given, expected in rates.items():
        assert images_source(images, given).frame_rate == expected


def test_one_driver_is_wanted(clip: Path) -> None:
    video, images = InputImpl.VideoFromFile(str(clip)), torch.zeros(3, 8, 8, 3)
    assert one_driver(None, images, 25).num_frames == 3
    with pytest.raises(InputError, match="both are linked"):
        one_driver(video, images, 25)
    with pytest.raises(InputError, match="Link video, or a batch to images"):
        one_driver(None, None, 25)


def test_every_form_of_bounding_boxes() -> None:
    one = bounding_box(BOX)
    for form in (one, [one], [[one]]):
        assert [faces[0].box for faces in known_faces(form, None, SIZE, 3)] == [BOX] * 3
    per_frame = known_faces([[one], [], [one, bounding_box((0, 0, 9, 9), score=0.5)]], None, SIZE, 3)
    assert [len(faces) for faces in per_frame] == [1, 0, 2]
    assert per_frame[2][1].score == 0.5


def test_boxes_end_at_the_pictures_border() -> None:
    outside = [bounding_box((-5, -5, 70, 20)), bounding_box((80, 10, 90, 20))]
    assert [face.box for face in known_faces([outside], None, SIZE, 1)[0]] == [(0, 0, 64, 20)]


def test_boxes_come_before_landmarks_unless_landmarks_are_needed() -> None:
    other = (1.0, 2.0, 9.0, 8.0)
    given = face_landmarks([[other]] * 2, SIZE)
    assert known_faces(bounding_box(BOX), given, SIZE, 2)[0][0].box == BOX
    face = known_faces(bounding_box(BOX), given, SIZE, 2, landmarks_first=True)[0][0]
    assert face.box == pytest.approx(other) and face.landmarks.shape == (478, 2)
    assert known_faces([[], []], given, SIZE, 2)[0][0].box == pytest.approx(other)
    assert known_faces([[]], face_landmarks([[], []], SIZE), SIZE, 2) is None
    assert known_faces(None, None, SIZE, 2) is None


@pytest.mark.parametrize(
    ("boxes", "given", "message"),
    [
        ([[], []], None, r"bounding boxes: they are of 2 frames, this node gets 3\. Detect them on"),
        (None, face_landmarks([[BOX]], SIZE), "face_landmarks: they are of 1 frames, this node gets 3"),
        (None, face_landmarks([[BOX]] * 3, (9, 9)), "they are of a 9x9 picture, the frames are 64x48"),
    ],
)
def test_faces_of_other_frames_are_refused(boxes: object, given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        known_faces(boxes, given, SIZE, 3)


def test_landmarks_of_the_portrait_are_scaled_to_its_square() -> None:
    given = face_landmarks([[(10, 10, 30, 40), (1, 1, 3, 3)]], (64, 64))
    points = landmarks_of_square(given, 128)
    assert points.min(axis=0) == pytest.approx((20, 20)) and points.max(axis=0) == pytest.approx((60, 80))
    assert landmarks_of_square(None, 128) is None
    with pytest.raises(InputError, match="not of a square"):
        landmarks_of_square(face_landmarks([[BOX]], SIZE), 128)
    with pytest.raises(InputError, match="no face was found in the portrait"):
        landmarks_of_square(face_landmarks([[]], (64, 64)), 128)
