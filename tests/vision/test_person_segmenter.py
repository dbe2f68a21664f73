"""The person as a network sees it: who of several, when it is trusted, and on real pictures."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.media.pictures import load_picture
from megactor_core.media.reading import open_driving
from megactor_core.puppets.clips import clip_pair
from megactor_core.vision.faces import Face, FaceDetector
from megactor_core.vision.foreground import foreground_mask, segmented_person
from megactor_core.vision.person_segmenter import PersonSegmenter, find_segmenter
from megactor_core.vision.portrait import segment_reference

FILE = os.environ.get("MEGACTOR_PERSON_SEGMENTER")
PHOTO = os.environ.get("MEGACTOR_FACE_PICTURE")
YUNET = os.environ.get("MEGACTOR_YUNET")
CLIPS = os.environ.get("MEGACTOR_CLIPS")
needs_file = pytest.mark.skipif(
    FILE is None, reason="MEGACTOR_PERSON_SEGMENTER, the file's path, is not given"
)
needs_photo = pytest.mark.skipif(
    None in (FILE, PHOTO, YUNET), reason="MEGACTOR_PERSON_SEGMENTER, _FACE_PICTURE or _YUNET is not given"
)

Picture = np.ndarray
SIZE = (200, 300)
LEFT, RIGHT = (60.0, 40.0, 90.0, 80.0), (180.0, 50.0, 210.0, 90.0)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


def person(box: tuple[float, ...], shoulders: int = 40) -> np.ndarray:
    """A head around a face, and shoulders below it; float32, 1 inside."""
    left, top, right, bottom = (round(value) for value in box)
    drawn = np.zeros(SIZE, np.uint8)
    middle = (left + right) // 2
    cv2.ellipse(drawn, (middle, (top + bottom) // 2 - 5), (22, 32), 0, 0, 360, 1, cv2.FILLED)
    cv2.rectangle(drawn, (middle - shoulders, bottom + 8), (middle + shoulders, SIZE[0]), 1, cv2.FILLED)
    return drawn.astype(np.float32)


def picture_of(*people: tuple[np.ndarray, tuple[int, int, int]]) -> Picture:
    """People in their colours on grey; who comes first stands in front."""
    image = np.full((*SIZE, 3), 120, np.uint8)
    for mask, color in reversed(people):
        image[mask > 0.5] = color
    return image


class Seen:
    """A segmenter that sees what it is told, blurred as a network's outlines are."""

    def __init__(self, *people: np.ndarray) -> None:
        self.likely = cv2.GaussianBlur(np.max(people, axis=0), (0, 0), 1)

    def __call__(self, image: Picture) -> np.ndarray:
        return self.likely


@pytest.mark.parametrize("face, truth", [(LEFT, 0), (RIGHT, 1)])
def test_of_two_people_the_one_with_the_face_counts(face: tuple[float, ...], truth: int) -> None:
    people = person(LEFT), person(RIGHT)
    image = picture_of((people[0], (200, 40, 40)), (people[1], (40, 40, 200)))
    mask = segmented_person(image, Seen(*people), face)
    assert mask is not None and mask.dtype == np.float32 and mask.shape == SIZE
    assert overlap(mask, people[truth]) > 0.98


@pytest.mark.parametrize("face, other, truth", [(LEFT, RIGHT, 0), (RIGHT, LEFT, 1)])
def test_people_who_touch_are_parted_at_the_edge_between_them(
    face: tuple[float, ...], other: tuple[float, ...], truth: int
) -> None:
    front, behind = person(LEFT, 70), person(RIGHT, 70)
    people = front, behind * (1 - front)
    image = picture_of((front, (200, 40, 40)), (behind, (40, 40, 200)))
    for others in ([other], [other, face]):  # the chosen face may be among the others, found twice
        mask = segmented_person(image, Seen(*people), face, others)
        assert mask is not None and overlap(mask, people[truth]) > 0.95


def test_without_a_face_the_largest_person_counts_wherever_it_stands() -> None:
    people = person(LEFT, 60), person(RIGHT, 20)
    image = picture_of((people[0], (200, 40, 40)), (people[1], (40, 40, 200)))
    mask = segmented_person(image, Seen(*people), None)
    assert mask is not None and overlap(mask, people[0]) > 0.97


@pytest.mark.parametrize("seen", ["nobody", "not the face", "everything a little"])
def test_what_the_network_does_not_see_is_sought_by_colours(seen: str) -> None:
    pair = clip_pair(1, 0, 1, 128)
    image, box, truth = pair.driver_frames[0], pair.driver_boxes[0], pair.driver_masks[0]
    likely = {
        "nobody": np.zeros_like(truth),
        "not the face": truth * (np.arange(128)[:, None] > box[3]),
        "everything a little": truth * 0.4 + 0.3,
    }[seen].astype(np.float32)
    mask = foreground_mask(image, box, segmenter=lambda image: likely)
    np.testing.assert_array_equal(mask, foreground_mask(image, box))
    assert overlap(mask, truth) > 0.9


def test_the_network_is_not_shown_what_lies_outside_of_the_picture() -> None:
    shapes = []

    def watch(image: Picture) -> np.ndarray:
        shapes.append(image.shape)
        return cv2.GaussianBlur(person(LEFT), (0, 0), 1)[: image.shape[0], : image.shape[1]]

    image = picture_of((person(LEFT), (200, 40, 40)))
    portrait = segment_reference(image, 128, crop=(-100, 0, 200, 300), segmenter=watch)
    assert shapes == [(200, 200, 3)]
    seen = portrait.crop.apply(person(LEFT))
    assert overlap(portrait.foreground, seen) > 0.95


def test_a_face_beside_the_square_is_somebody_else() -> None:
    people = person(LEFT), person(RIGHT)
    image = picture_of((people[0], (200, 40, 40)), (people[1], (40, 40, 200)))
    seen = Seen(people[1][:, 140:])
    portrait = segment_reference(image, 128, crop=(140, 0, 300, 160), faces=(Face(LEFT),), segmenter=seen)
    assert portrait.foreground[64, 30] > 0.5 > portrait.foreground[10, 120]


def test_a_file_that_is_no_segmenter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "selfie_segmentation.tflite"
    with pytest.raises(InputError, match="the person segmenter's file does not exist"):
        find_segmenter(path)
    for content in (b"", b"hello", bytes(4) + b"TFL3" + bytes(500)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a person segmenter\. Give the path of"):
            PersonSegmenter(path)
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="not a person segmenter"):
        find_segmenter()
    path.unlink()
    assert find_segmenter() is None


@needs_file
def test_the_segmenter_is_shared_by_threads_and_sent_to_processes() -> None:
    assert FILE is not None
    segmenter = PersonSegmenter(FILE)
    pictures = [clip_pair(1, index, 1, 128).driver_frames[0] for index in range(4)]
    alone = [segmenter(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for mask, expected in zip(pool.map(segmenter, pictures * 3), alone * 3, strict=True):
            np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(segmenter))(pictures[0]), alone[0])


@needs_file
@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (90, 160), (160, 90)])
def test_pictures_of_any_shape_are_covered(shape: tuple[int, int]) -> None:
    assert FILE is not None
    likely = PersonSegmenter(FILE)(np.full((*shape, 3), 90, np.uint8))
    assert likely.dtype == np.float32 and likely.min() >= 0 and likely.max() <= 1
    assert likely.shape == (max(1, round(256 * min(1, shape[0] / shape[1]))), 256)


@needs_file
def test_drawn_people_are_found_at_least_as_well_as_by_colours() -> None:
    assert FILE is not None
    segmenter = PersonSegmenter(FILE)
    scores = []
    for index in range(10):
        pair = clip_pair(1, index, 1, 128)
        image, box, truth = pair.driver_frames[0], pair.driver_boxes[0], pair.driver_masks[0]
        masks = foreground_mask(image, box, segmenter=segmenter), foreground_mask(image, box)
        scores.append([overlap(mask, truth) for mask in masks])
    network, colours = np.mean(scores, axis=0)
    assert network > 0.94 and network > colours - 0.01


@needs_photo
def test_hair_and_shoulders_of_a_real_picture_belong_to_the_person() -> None:
    assert FILE is not None and PHOTO is not None and YUNET is not None
    picture = load_picture(PHOTO)
    segmenter, detector = PersonSegmenter(FILE), FaceDetector(YUNET)
    portrait = segment_reference(picture, 256, crop="whole", detector=detector, segmenter=segmenter)
    face = detector.detect(picture)[0]
    left, top, right, bottom = portrait.crop.to_crop(face.box)
    middle, height = int((left + right) / 2), bottom - top
    person = portrait.foreground > 0.5
    assert person[int(top - 0.1 * height), middle] and person[-3, middle]
    assert person[-3].mean() > 0.6  # the shoulders
    assert not person[: int(top), :10].any() and not person[: int(top), -10:].any()


@needs_photo
@pytest.mark.skipif(CLIPS is None, reason="MEGACTOR_CLIPS, a folder of real clips, is not given")
@pytest.mark.parametrize(
    "name, people, behind",
    [
        # Dark hair on black, and a black jacket on dark trees: points as (x, y), told apart by eye.
        ("driving_30fps_audio.mp4", [(121, 89), (90, 240), (440, 300)], [(32, 97), (40, 242), (500, 20)]),
        ("portrait_b.png", [(150, 1650), (1526, 1650), (800, 300)], [(100, 200), (1500, 300), (60, 1200)]),
    ],
)
def test_real_people_are_found_where_colours_mislead(
    name: str, people: list[tuple[int, int]], behind: list[tuple[int, int]]
) -> None:
    assert FILE is not None and YUNET is not None and CLIPS is not None
    path = Path(CLIPS) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in MEGACTOR_CLIPS")
    picture = next(iter(open_driving(path).frames()))[2]
    box = FaceDetector(YUNET).detect(picture)[0].box
    person = foreground_mask(picture, box, segmenter=PersonSegmenter(FILE)) > 0.5
    assert all(person[y, x] for x, y in people) and not any(person[y, x] for x, y in behind)
    colours = foreground_mask(picture, box) > 0.5
    assert overlap(person, colours) < 0.85
