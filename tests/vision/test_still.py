"""A portrait that drives itself: it begins as it is, blinks, sways, and repeats for a seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from tiny_model import portrait_image

from megactor_core.motion import Liveliness
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.vision.still import still_driving

PICTURE = portrait_image(128, 128)
LANDMARKS = MEAN_FACE[:, :2] * 6 + 64


def driven(liveliness: Liveliness, frames: int = 150, motion: float = 1.0) -> np.ndarray:
    amplitude = np.full(frames, motion, np.float32)
    driving = still_driving(PICTURE, LANDMARKS, frames, Fraction(25), liveliness, amplitude)
    return np.stack(list(driving.conditions()))


def test_only_the_eyes_are_shown_and_the_first_frame_is_the_portrait() -> None:
    frames = driven(Liveliness())
    still = driven(Liveliness(blink=0, sway=0), 2)
    np.testing.assert_array_equal(frames[0], still[0])
    np.testing.assert_array_equal(still[0], still[1])
    rows = np.flatnonzero(still[0].any(axis=1))
    mouth = LANDMARKS[48:68, 1].min()
    assert rows.size and rows.max() < mouth


def test_eyes_shut_now_and_then_and_not_for_long() -> None:
    times = np.arange(3000) / 25
    openness = Liveliness(seed=3).openness(times)
    shut = openness < 0.6
    blinks = np.flatnonzero(shut[1:] & ~shut[:-1])
    assert 15 <= len(blinks) <= 80  # in two minutes
    assert openness.min() < 0.3 and shut.mean() < 0.15
    assert (Liveliness(blink=0).openness(times) == 1).all()


def test_the_head_sways_a_little_and_as_far_as_it_is_told() -> None:
    times, center = np.arange(500) / 25, np.array([64.0, 64.0])

    def shifts(motion: float) -> np.ndarray:
        heads = Liveliness().head(times, np.full(500, motion), center, 512)
        return (heads[:, :, :2] @ center + heads[:, :, 2]) - center

    assert 1 < np.abs(shifts(1)).max() < 512 * 0.03
    np.testing.assert_allclose(shifts(0.5), shifts(1) / 2, atol=1e-9)
    assert not shifts(0).any()


def test_a_seed_repeats_and_another_differs() -> None:
    first, again, other = (driven(Liveliness(seed=seed), 40) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_landmarks_the_driver_is_black() -> None:
    driving = still_driving(PICTURE, None, 4, Fraction(25), Liveliness(), np.ones(4))
    assert not np.stack(list(driving.conditions())).any() and "sound alone" in driving.report
