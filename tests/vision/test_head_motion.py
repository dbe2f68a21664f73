"""The head's motion since the first frame, scaled: shift, rotation and size."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.media.source import pictures_source
from megactor_core.motion import Amplitude
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.vision.driving import prepare_driving
from megactor_core.vision.faces import Face
from megactor_core.vision.head_motion import (
    box_anchors,
    head_corrections,
    moved_picture,
    moved_points,
    rigid_anchors,
)

FACE = MEAN_FACE[:, :2] * 4 + (64, 64)


def posed(shift: tuple[float, float], degrees: float, scale: float) -> np.ndarray:
    """The face after a motion about its rigid points' mean."""
    center = rigid_anchors(FACE[None])[0].mean(axis=0)
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (FACE - center) @ turn.T + center + shift


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.0, 2.0])
def test_shift_rotation_and_size_are_scaled(amplitude: float) -> None:
    driven = np.stack([FACE, posed((6, -4), 20, 1.21)])
    expected = posed((6 * amplitude, -4 * amplitude), 20 * amplitude, 1.21**amplitude)

    affines = head_corrections(rigid_anchors(driven), np.array([amplitude] * 2, np.float32))

    np.testing.assert_allclose(moved_points(driven, affines)[1], expected, atol=1e-4)
    np.testing.assert_allclose(moved_points(driven, affines)[0], FACE, atol=1e-9)


def test_keyframes_scale_each_frame_by_its_own() -> None:
    driven = np.stack([FACE, posed((8, 0), 0, 1), posed((8, 0), 0, 1)])
    affines = head_corrections(rigid_anchors(driven), np.array([1, 0.25, 1], np.float32))
    shifts = (moved_points(driven, affines) - FACE).mean(axis=1)
    np.testing.assert_allclose(shifts, [(0, 0), (2, 0), (8, 0)], atol=1e-6)
    assert np.array_equal(affines[2], np.eye(2, 3))


def test_an_open_mouth_is_no_motion_of_the_head() -> None:
    talking = FACE.copy()
    talking[48:68, 1] += 9
    affines = head_corrections(rigid_anchors(np.stack([FACE, talking])), np.zeros(2, np.float32))
    np.testing.assert_allclose(affines[1], np.eye(2, 3), atol=1e-9)


def test_boxes_tell_shift_and_size() -> None:
    boxes = np.array([(20, 20, 40, 40), (30, 20, 70, 60)], float)
    affines = head_corrections(box_anchors(boxes), np.zeros(2, np.float32))
    np.testing.assert_allclose(moved_points(boxes.reshape(2, 2, 2), affines)[1].ravel(), boxes[0], atol=1e-6)


def test_a_moved_picture_follows_its_points() -> None:
    picture = np.zeros((32, 32, 3), np.float32)
    picture[10, 12] = 255
    moved = moved_picture(picture, np.array([[1, 0, 3], [0, 1, -2]], float))
    assert np.unravel_index(moved[..., 0].argmax(), (32, 32)) == (8, 15)
    assert moved_picture(picture, np.eye(2, 3)) is picture


def test_a_driver_whose_head_is_stilled_shows_its_face_where_it_was() -> None:
    pictures, faces = [], []
    for index in range(4):
        picture = np.full((96, 96, 3), 60, np.uint8)
        left, top = 30 + 6 * index, 30 + 3 * index
        picture[top : top + 24, left : left + 24] = 200
        pictures.append(picture)
        faces.append((Face((left, top, left + 24, top + 24)),))
    source = pictures_source(pictures, Fraction(25))

    def centers(head_motion: float | list[float]) -> np.ndarray:
        amplitude = Amplitude(head_motion=head_motion)
        driving = prepare_driving(source, 96, crop="whole", faces=faces, amplitude=amplitude)
        bright = (np.argwhere(image[..., 0] > 150).mean(axis=0) for image in driving.crops())
        shown = (np.argwhere(image > 150).mean(axis=0) for image in driving.conditions())
        first, second = np.stack(list(bright)), np.stack(list(shown))
        np.testing.assert_allclose(first, second)
        return first - first[0]

    step = np.arange(4)[:, None] * (3, 6)
    np.testing.assert_allclose(centers(1), step)
    np.testing.assert_allclose(centers(0), 0 * step, atol=0.6)
    np.testing.assert_allclose(centers(0.5), step / 2, atol=0.6)
    np.testing.assert_allclose(centers([1, 1, 0, 1]), step * np.array([[1], [1], [0], [1]]), atol=0.6)
    with pytest.raises(InputError, match="has 2 values, the clip has 4 frames"):
        centers([1, 1])
