"""What is shown of a driver: with faces that are found or known, with landmarks, or without any face."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.media.source import pictures_source
from megactor_core.vision.driving import prepare_driving
from megactor_core.vision.faces import Face
from megactor_core.vision.portrait import segment_reference

SIZE = 64
BOX = (30.0, 20.0, 50.0, 44.0)
SOURCE = pictures_source([np.full((80, 96, 3), 200, np.uint8)] * 6, Fraction(25))


class NoDetector:
    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        raise AssertionError("faces are known and need not be sought")


class FaceAt:
    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.faces = tuple(Face(box) for box in boxes)

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return self.faces


def shown(condition: np.ndarray) -> float:
    return float((condition > 0).mean())


def test_known_faces_are_followed_without_a_detector() -> None:
    faces = [(Face(BOX),), (), *[(Face(BOX), Face((0, 0, 90, 70)))] * 4]
    found = prepare_driving(SOURCE, SIZE, faces=faces, detector=NoDetector())
    assert found.crop.box == (8, 0, 72, 64)
    assert "1 of 6 frames (1)" in found.report
    assert all(0 < shown(condition) < 1 for condition in found.conditions())
    same = prepare_driving(SOURCE, SIZE, faces=[(Face(BOX),)] * 6)
    assert np.array_equal(same.plan.boxes, found.plan.boxes)


def test_known_faces_are_those_of_the_whole_clip() -> None:
    faces = [(), (), (Face(BOX),), (Face(BOX),), (), (Face(BOX),)]
    part = prepare_driving(SOURCE, SIZE, faces=faces, start=2, stop=5, lost="pass")
    assert "1 of 3 frames (2)" in part.report
    assert [shown(condition) == 1 for condition in part.conditions()] == [False, False, True]


def test_auto_takes_the_face_or_else_everything() -> None:
    picture = np.full((80, 96, 3), 200, np.uint8)
    for detector, box in ((FaceAt(BOX), (8, 0, 72, 64)), (FaceAt(), (8, 0, 88, 80)), (None, (8, 0, 88, 80))):
        driving = prepare_driving(SOURCE, SIZE, crop="auto", detector=detector)
        assert driving.crop.box == box
        portrait = segment_reference(picture, SIZE, crop="auto", detector=detector)
        assert portrait.crop.box == box
    assert (
        "no face was found: the whole square"
        in prepare_driving(SOURCE, SIZE, crop="auto", detector=FaceAt()).report
    )


def test_known_faces_of_the_portrait_come_before_the_detector() -> None:
    picture = np.full((80, 96, 3), 200, np.uint8)
    portrait = segment_reference(picture, SIZE, faces=(Face(BOX),), detector=NoDetector())
    assert portrait.crop.box == (8, 0, 72, 64)
    assert segment_reference(picture, SIZE, faces=(), detector=FaceAt(BOX)).crop.box == (8, 0, 72, 64)


def test_a_mask_without_a_person_is_refused() -> None:
    picture = np.full((80, 96, 3), 200, np.uint8)
    with pytest.raises(InputError, match="no part of the crop is marked as the person"):
        segment_reference(picture, SIZE, crop="whole", mask=np.zeros((80, 96), np.float32))


def test_landmarks_of_known_faces_serve_the_contour_mode() -> None:
    points = np.float32([(30, 20)] * 34 + [(50, 44)] * 34)
    faces = [(Face(BOX, landmarks=points + index),) for index in range(6)]
    driving = prepare_driving(SOURCE, SIZE, crop="whole", mode="contour", faces=faces)
    in_crop = driving.crop.to_crop(points + 5)
    assert driving.plan.affine is None
    moved = prepare_driving(
        SOURCE,
        SIZE,
        crop="whole",
        mode="contour",
        faces=faces,
        portrait_landmarks=in_crop + np.float32([4, -3]),
    )
    assert moved.plan.boxes == driving.plan.boxes
    np.testing.assert_allclose(moved.plan.affine[:, 2], (4, -3), atol=1.01)
    assert 0 < shown(next(driving.conditions())) < 1


def test_contour_without_landmarks_is_refused() -> None:
    with pytest.raises(InputError, match="needs face landmarks"):
        prepare_driving(SOURCE, SIZE, crop="whole", mode="contour", faces=[(Face(BOX),)] * 6)


def test_looking_at_the_frames_can_be_cancelled() -> None:
    seen: list[int] = []

    def cancel(index: int) -> None:
        seen.append(index)
        if index == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_driving(SOURCE, SIZE, detector=FaceAt(BOX), on_frame=cancel)
    assert seen == [0, 1, 2, 3]
