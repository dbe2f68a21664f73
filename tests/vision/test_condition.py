"""What the denoiser sees of a driving frame."""

from __future__ import annotations

import numpy as np

from megactor_core.vision.modes.contour import contour_plan
from megactor_core.vision.modes.patches import patch_box, patch_condition
from megactor_core.vision.modes.plain import plain_boxes, plain_condition

SIZE = 64
WHITE = np.full((SIZE, SIZE, 3), 200, np.float32)


def shown(condition: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(condition)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def scattered_landmarks(num_frames: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 44, (num_frames, 68, 2))


def test_plain_box_is_a_square_with_margins_above_and_below() -> None:
    np.testing.assert_array_equal(plain_boxes([(20, 25, 36, 45)], SIZE), [[18, 17, 38, 47]])
    np.testing.assert_array_equal(plain_boxes([(20, 30, 40, 46)], SIZE), [[20, 20, 40, 50]])


def test_plain_box_ends_at_the_crops_border() -> None:
    np.testing.assert_array_equal(plain_boxes([(0, 0, 60, 60)], SIZE), [[0, 0, 60, 64]])


def test_held_boxes_keep_their_size_unless_the_reference_is_repeated() -> None:
    held = np.float32([(20, 25, 40, 45)] * 3)
    own = plain_boxes(held, SIZE)
    assert (own == own[0]).all()
    grown = plain_boxes(held, SIZE, found=[True, False, False])
    np.testing.assert_array_equal(grown[0], own[0])
    np.testing.assert_array_equal(grown[1], [15, 5, 45, 50])


def test_plain_condition_is_the_grey_face_on_black() -> None:
    condition = plain_condition(WHITE, (10, 20, 30, 50))
    assert condition.shape == (SIZE, SIZE) and condition.dtype == np.float32
    assert shown(condition) == (10, 20, 30, 50)
    np.testing.assert_allclose(condition[30, 20], 200 * 0.9999, rtol=1e-5)


def test_plain_condition_without_a_box_keeps_the_whole_crop() -> None:
    assert (plain_condition(WHITE, None) > 0).all()


def test_half_precision_stays_within_half_a_grey_level() -> None:
    crop_image = np.random.default_rng(0).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)
    plan = contour_plan(scattered_landmarks(3), scattered_landmarks(1)[0], SIZE)
    for full, half in (
        (plain_condition(crop_image, None), plain_condition(crop_image, None, np.float16)),
        (patch_condition(crop_image, plan), patch_condition(crop_image, plan, np.float16)),
    ):
        assert np.abs(full - half).max() <= 0.5


def test_contour_shows_the_patches_of_all_frames() -> None:
    landmarks = np.full((2, 68, 2), 32.0)
    landmarks[:, 36:42] = (20, 20)
    landmarks[1, 48:68] = (40, 60)
    plan = contour_plan(landmarks, None, SIZE)
    assert plan.boxes_of(0)[0] == (12, 12, 28, 28)
    assert plan.boxes_of(0)[2] == (24, 24, 48, 64)
    condition = patch_condition(WHITE, plan)
    assert condition[20, 20] > 0 and condition[60, 40] > 0 and condition[60, 10] == 0


def test_contour_moves_the_driver_onto_the_reference() -> None:
    driver = scattered_landmarks(2)
    plan = contour_plan(driver, driver[-1] + (10, -5), SIZE)
    assert plan.affine is not None
    np.testing.assert_allclose(plan.affine, [[1, 0, 10], [0, 1, -5]], atol=1e-6)
    left, top, right, bottom = shown(patch_condition(WHITE, contour_plan(driver, None, SIZE)))
    assert shown(patch_condition(WHITE, plan)) == (left + 10, top - 5, min(right + 10, SIZE), bottom - 5)


def test_contour_alignment_follows_the_last_frame() -> None:
    driver = scattered_landmarks(3)
    moved = driver.copy()
    moved[-1] += 6
    first, second = (contour_plan(frames, driver[0], SIZE).affine for frames in (driver, moved))
    assert first is not None and second is not None
    np.testing.assert_allclose(second[:, 2], first[:, 2] - 6 * first[:, :2].sum(axis=1), atol=1e-6)


def test_patch_is_cut_at_the_border() -> None:
    assert patch_box(2, 60, SIZE, SIZE) == (0, 52, 10, 64)
