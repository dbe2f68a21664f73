"""Measures against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from megactor_core.evaluation.measures import pixels as metrics
from megactor_core.puppets.motion import MOTION_NAMES


def flat(*levels: int, size: int = 16) -> np.ndarray:
    """A clip of frames of one grey each."""
    return np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])


def test_psnr_is_the_mean_over_frames() -> None:
    # 10 log10(255^2 / 10^2) and 10 log10(255^2 / 20^2)
    expected = (28.1308 + 22.1102) / 2
    assert metrics.psnr(flat(110, 120), flat(100, 100)) == pytest.approx(expected, abs=1e-3)


def test_psnr_of_equal_clips_is_a_number() -> None:
    assert metrics.psnr(flat(7, 9), flat(7, 9)) == metrics.HIGHEST_PSNR


def test_psnr_of_some_pixels_ignores_the_others() -> None:
    truth, images = flat(100, 100), flat(110, 110)
    images[:, :8] = 255
    lower = np.zeros((16, 16), bool)
    lower[8:] = True
    assert metrics.psnr(images, truth, lower) == pytest.approx(28.1308, abs=1e-3)


def test_ssim_of_flat_pictures_compares_their_brightness() -> None:
    # without any structure only (2ab + c) / (a^2 + b^2 + c) is left, c = 0.01^2
    a, b, c = 100 / 255, 150 / 255, 1e-4
    expected = (2 * a * b + c) / (a * a + b * b + c)
    assert metrics.ssim(flat(100, 100), flat(150, 150)) == pytest.approx(expected, abs=1e-3)
    assert metrics.ssim(flat(100), flat(100)) == pytest.approx(1)


def test_a_training_in_bf16_reports_the_same_ssim() -> None:
    first, second = np.random.default_rng(0).integers(100, 140, (2, 3, 32, 32, 3), np.uint8)
    alone = metrics.ssim(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        assert metrics.ssim(first, second) == alone


def test_flicker_is_the_mean_change_in_grey_levels() -> None:
    assert metrics.flicker(flat(10, 14, 12)) == pytest.approx((4 + 2) / 2)
    clip = flat(10, 10)
    clip[1, 0, 0] = 40
    corner = np.zeros((16, 16), bool)
    corner[0, :2] = True
    assert metrics.flicker(clip, corner) == pytest.approx(15)


def test_sharpness_is_the_energy_of_the_laplacian() -> None:
    clip = flat(100, 100)
    assert metrics.sharpness(clip) == 0
    clip[0, 8, 8] = 110
    # a point of height 10: -4 times that in its place, once in each of four neighbours; in one of two frames
    assert metrics.sharpness(clip) == pytest.approx(10**2 * (4**2 + 4) / 16**2 / 2)


def test_static_and_background_pixels_hold_over_the_whole_clip() -> None:
    clip = flat(10, 10, 10)
    clip[1, 3, 4, 2] = 11
    static = metrics.static_pixels(clip)
    assert not static[3, 4] and static.sum() == 255
    masks = np.zeros((3, 16, 16), np.float32)
    masks[2, 5, 6] = 0.1
    background = metrics.background_pixels(masks)
    assert not background[5, 6] and background.sum() == 255


def test_correlation_of_each_parameter() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (50, len(MOTION_NAMES))).astype(np.float32)
    fitted = truth * 0.5 + 0.1
    fitted[:, 1] *= -1
    fitted[:, 2] = 0.3
    correlation = metrics.motion_correlation(fitted, truth)
    assert correlation["yaw"] == pytest.approx(1)
    assert correlation["pitch"] == pytest.approx(-1)
    assert correlation["roll"] == 0


def test_gaze_is_compared_only_while_the_eyes_are_open() -> None:
    truth = np.zeros((40, len(MOTION_NAMES)), np.float32)
    gaze, lids = MOTION_NAMES.index("gaze_x"), MOTION_NAMES.index("eyelid_left")
    truth[:, gaze] = np.linspace(-1, 1, 40)
    truth[:20, lids] = 0.9
    fitted = truth.copy()
    fitted[20:, gaze] = -3
    assert metrics.motion_correlation(fitted, truth)["gaze_x"] == pytest.approx(1)
