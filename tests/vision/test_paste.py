"""Pasting an animated crop back into its picture."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from megactor_core.vision.crops import Crop
from megactor_core.vision.paste import paste_back

FRAME = np.full((120, 160, 3), 50, np.uint8)


@pytest.mark.parametrize("size", [16, 64, 256])
def test_result_has_the_pictures_size_and_the_crops_middle(size: int) -> None:
    picture = np.full((size, size, 3), 200, np.uint8)
    result = paste_back(FRAME, Crop((40, 20, 120, 100), (120, 160), 64), picture)
    assert result.shape == FRAME.shape and result.dtype == np.uint8
    assert (result[50:70, 70:90] == 200).all()
    assert (FRAME == 50).all()


def test_outside_stays_and_no_edge_is_hard() -> None:
    picture = np.full((64, 64, 3), 250, np.uint8)
    result = paste_back(FRAME, Crop((40, 20, 120, 100), (120, 160), 64), picture).astype(int)
    inside = np.zeros(FRAME.shape[:2], bool)
    inside[20:100, 40:120] = True
    assert (result[~inside] == 50).all()
    assert max(np.abs(np.diff(result, axis=0)).max(), np.abs(np.diff(result, axis=1)).max()) <= 40


def test_picture_is_pasted_up_to_the_frames_own_border() -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    result = paste_back(FRAME, Crop((0, 0, 120, 120), (120, 160), 64), picture)
    assert (result[:, :60] == 200).all()
    assert result[60, 119, 0] < 60


def test_box_that_reaches_over_the_border() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 200
    result = paste_back(FRAME, Crop((-40, 20, 40, 100), (120, 160), 64), picture)
    assert (result[40:80, 2:28] >= 195).all()
    assert (result[:, 41:] == 50).all()


def test_of_a_box_far_larger_than_the_picture_only_what_is_seen_is_made() -> None:
    frame = np.full((1000, 1000, 3), 50, np.uint8)
    picture = np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    crop = Crop((-900, -1300, 3100, 2700), (1000, 1000), 64)
    whole = cv2.resize(picture.astype(np.float32), (4000, 4000), interpolation=cv2.INTER_CUBIC)
    expected = np.clip(np.rint(whole[1300:2300, 900:1900]), 0, 255)
    tracemalloc.start()
    result = paste_back(frame, crop, picture)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.abs(result - expected).max() <= 1
    assert peak < 100e6


def test_mask_limits_what_is_replaced() -> None:
    mask = np.zeros((120, 160), np.float32)
    mask[:, :80] = 1
    result = paste_back(
        FRAME, Crop((40, 20, 120, 100), (120, 160), 64), np.full((64, 64, 3), 200, np.uint8), mask
    )
    assert (result[50:70, 60:80] == 200).all() and (result[:, 80:] == 50).all()


def test_a_crop_pasted_back_unchanged_leaves_the_picture() -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    frame = np.stack([rows, columns, (rows + columns) // 2], axis=-1).astype(np.uint8)
    crop = Crop((30, 10, 130, 110), (120, 160), 200)
    result = paste_back(frame, crop, crop.apply(frame))
    assert np.abs(result.astype(int) - frame).max() <= 1


def test_frame_or_mask_of_another_size_is_refused() -> None:
    crop, picture = Crop((0, 0, 50, 50), (100, 100), 64), np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="must be of the crop's picture"):
        paste_back(FRAME, crop, picture)
    with pytest.raises(ValueError, match="must be of the crop's picture"):
        paste_back(np.zeros((100, 100, 3), np.uint8), crop, picture, np.zeros((64, 64), np.float32))
