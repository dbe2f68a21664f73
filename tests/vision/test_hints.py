"""Hints of a driving clip: alignment from the best frame, patches, frames without a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_coarse_landmarks import OneFace, five_points, turned_face
from tiny_model import portrait_image, write_driver

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.vision.crops import squashed_crop
from megactor_core.vision.driving import prepare_driving
from megactor_core.vision.faces import Face
from megactor_core.vision.modes.hints import plan_hints
from megactor_core.vision.paste import paste_back
from megactor_core.vision.portrait import segment_reference
from megactor_core.vision.squash import squash

SIZE = 64


def face_at(x: float, y: float, scale: float = 2.0) -> NDArray[np.float64]:
    return turned_face(0, 0, 0, scale, (x, y))


class Script:
    """A landmarker that answers by turns."""

    def __init__(self, *answers: NDArray[np.float64] | None) -> None:
        self.answers = list(answers)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
        return self.answers.pop(0)


def test_the_best_frame_is_laid_over_the_portrait() -> None:
    portrait, driver = face_at(32, 30, 2.4), [face_at(20, 20), face_at(33, 31, 2.2), face_at(50, 44)]
    plan, note = plan_hints(portrait, driver, SIZE)
    assert plan.best_frame == 1 and not note and plan.affine is not None
    laid = driver[1] @ plan.affine[:, :2].T + plan.affine[:, 2]
    np.testing.assert_allclose(laid, portrait, atol=1e-6)
    chosen, _ = plan_hints(portrait, driver, SIZE, best_frame=2)
    assert chosen.best_frame == 2


def test_off_leaves_the_clip_in_place() -> None:
    plan, note = plan_hints(face_at(32, 30), [face_at(20, 20)], SIZE, best_frame="off")
    assert plan.affine is None and plan.best_frame is None and not note
    pixels = np.random.default_rng(0).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)
    shown, square = plan.pictures(0, pixels), pixels / np.float32(255)
    np.testing.assert_array_equal(shown["face_control"], square * 2 - 1)
    kept = (shown["patch_control"] != -1).all(axis=-1)
    np.testing.assert_array_equal(shown["patch_control"][kept], (square * 2 - 1)[kept])
    assert 16 * 16 <= kept.sum() <= 3 * 16 * 16
    assert (shown["patch_control"][~kept] == -1).all()


def test_frames_without_a_face_hold_the_last_patches() -> None:
    seen = [None, face_at(20, 20), None, face_at(44, 40)]
    plan, note = plan_hints(face_at(32, 30), seen, SIZE, best_frame=3)
    assert not note and plan.boxes.shape == (4, 3, 4)
    np.testing.assert_array_equal(plan.boxes[0], plan.boxes[1])
    np.testing.assert_array_equal(plan.boxes[2], plan.boxes[1])
    assert (plan.boxes[3] != plan.boxes[1]).any()


def test_without_any_face_the_whole_frames_drive() -> None:
    plan, note = plan_hints(face_at(32, 30), [None, None], SIZE)
    assert "whole frames drive alone" in note and plan.affine is None
    assert (plan.pictures(1, np.full((SIZE, SIZE, 3), 255, np.float32))["patch_control"] == -1).all()
    plan, note = plan_hints(None, [face_at(20, 20)], SIZE)
    assert "not aligned" in note and plan.affine is None and plan.boxes.shape == (1, 3, 4)


@pytest.mark.parametrize(("best_frame", "problem"), [(2, "frames 0 to 1"), (-1, "frames 0"), (0, "no face")])
def test_an_impossible_best_frame_is_refused(best_frame: int, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        plan_hints(face_at(32, 30), [None, face_at(20, 20)], SIZE, best_frame=best_frame)


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    return write_driver(tmp_path / "driver.mp4", num_frames=4, size=80)


def test_a_driver_becomes_one_pair_of_hints_per_frame(driver: Path) -> None:
    portrait = segment_reference(portrait_image(), SIZE, crop="squash")
    looker = Script(face_at(32, 30), face_at(30, 28), None, face_at(30, 29), face_at(40, 30))
    prepared = prepare_driving(
        open_driving(driver), SIZE, crop="squash", mode="hints", portrait=portrait, landmarker=looker
    )
    assert prepared.plan.best_frame == 2
    pictures = list(prepared.pictures())
    assert len(pictures) == prepared.num_frames == 4
    for shown in pictures:
        assert shown.keys() == {"face_control", "patch_control"}
        for picture in shown.values():
            assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.float32
            assert picture.min() >= -1 and picture.max() <= 1


def test_the_detectors_five_points_do_where_there_is_no_landmarker(driver: Path) -> None:
    detector = OneFace(Face((10, 10, 50, 50), points=five_points(face_at(32, 30))))
    portrait = segment_reference(portrait_image(), SIZE, crop="squash")
    prepared = prepare_driving(
        open_driving(driver), SIZE, crop="squash", mode="hints", portrait=portrait, detector=detector
    )
    assert prepared.plan.boxes.shape == (4, 3, 4)
    # The same face in the driver's 80 pixels and in the portrait's 64.
    np.testing.assert_allclose(prepared.plan.affine, [[1.25, 0, 0], [0, 1.25, 0]], atol=1e-5)


def test_a_squashed_picture_goes_there_and_back() -> None:
    picture = portrait_image(60, 120)
    crop = squashed_crop((60, 120), SIZE)
    np.testing.assert_allclose(crop.apply(picture) / 255, squash(picture, SIZE), atol=1e-6)
    assert crop.apply(picture[..., 0]).shape == (SIZE, SIZE)
    corners = np.array([[0, 0], [120, 60], [60, 15]], np.float32)
    np.testing.assert_allclose(crop.to_crop(corners), [[0, 0], [64, 64], [32, 16]])
    np.testing.assert_allclose(crop.to_source(crop.to_crop(corners)), corners)
    pasted = paste_back(picture, crop, crop.apply(picture))
    assert pasted.shape == picture.shape and np.abs(pasted.astype(int) - picture).mean() < 8


def test_the_chosen_face_drives(driver: Path) -> None:
    left, right = face_at(20, 40, 1.0), face_at(60, 40, 1.5)
    detector = OneFace(
        Face((10, 30, 30, 50), points=five_points(left)), Face((45, 25, 75, 55), points=five_points(right))
    )
    centers = []
    for choice in (0, 1):
        prepared = prepare_driving(
            open_driving(driver), SIZE, crop="squash", mode="hints", face=choice, detector=detector
        )
        centers.append(prepared.plan.boxes[0, :, [0, 2]].mean())
    assert centers[0] < SIZE / 2 < centers[1]
