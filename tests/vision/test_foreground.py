"""Parting person and background."""

from __future__ import annotations

import time

import numpy as np
import pytest

from megactor_core.puppets.clips import clip_pair
from megactor_core.vision.foreground import background_image, foreground_mask


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("with_face, floor", [(True, 0.92), (False, 0.85)])
def test_person_is_found_with_and_without_a_face(with_face: bool, floor: float) -> None:
    scores = []
    for index in range(8):
        pair = clip_pair(1, index, 1, 128)
        box = pair.driver_boxes[0] if with_face else None
        mask = foreground_mask(pair.driver_frames[0], box)
        assert mask.dtype == np.float32 and mask.shape == (128, 128)
        assert mask.min() >= 0 and mask.max() <= 1
        scores.append(overlap(mask > 0.5, pair.driver_masks[0] > 0.5))
    assert np.mean(scores) > floor


def test_given_mask_is_used_as_it_is() -> None:
    given = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    assert foreground_mask(np.zeros((20, 30, 3), np.uint8), None, given) is given


def test_same_picture_same_mask() -> None:
    pair = clip_pair(1, 0, 1, 64)
    first, second = (foreground_mask(pair.driver_frames[0], pair.driver_boxes[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3), (30, 400, 3), (224, 224, 3)])
def test_pictures_that_show_nothing_still_give_a_mask_in_time(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    start = time.process_time()
    for box in (None, (0, 0, shape[1], shape[0])):
        mask = foreground_mask(image, box)
        assert mask.shape == shape[:2] and np.isfinite(mask).all()
    assert time.process_time() - start < 30


def test_background_image_is_the_truncated_crop_without_the_person() -> None:
    crop_image = np.full((4, 4, 3), 99.9, np.float32)
    foreground = np.zeros((4, 4), np.float32)
    foreground[:2] = 1
    result = background_image(crop_image, foreground)
    assert result.dtype == np.uint8
    assert (result[:2] == 0).all() and (result[2:] == 99).all()
