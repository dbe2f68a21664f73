"""Lag, closed lips, pauses and loudness of a mouth whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.evaluation.measures.lip_motion import (
    best_lag,
    closure_counts,
    closure_f1,
    loudness,
    pauses,
    quiet_frames,
)

RNG = np.random.default_rng(0)
OPENING = np.convolve(RNG.random(54), np.ones(3) / 3, "valid")
AT = np.arange(0, 50, 2)


@pytest.mark.parametrize("late", range(-3, 4))
def test_a_delayed_truth_is_late_by_its_delay(late: int) -> None:
    read = np.roll(OPENING, late)[AT]
    lag = best_lag(read, AT, OPENING)
    assert lag is not None and lag.frames == late and lag.correlation == pytest.approx(1)


def test_a_mouth_that_does_not_move_has_no_lag() -> None:
    assert best_lag(np.full(len(AT), 0.4), AT, OPENING) is None


def test_closed_lips_are_told_from_open_ones() -> None:
    truth = np.array([0.0, 0.05, 0.5, 0.9])
    assert closure_f1(closure_counts(truth + 0.05, truth)) == 1
    assert closure_f1(closure_counts(np.full(4, 0.5), truth)) == 0
    assert closure_f1(closure_counts(np.zeros(4), truth)) == pytest.approx(2 / 3)


def test_pauses_are_silent_stretches_of_a_quarter_of_a_second() -> None:
    sound = np.ones(3 * 16000, np.float32)
    sound[8000:16000] = 0.001  # half a second
    sound[32000:35200] = 0  # a fifth
    np.testing.assert_allclose(pauses(sound), [[0.5, 1.0]], atol=1e-3)
    times = np.arange(75) / 25
    inside = times[quiet_frames(times, pauses(sound))]
    assert inside.min() >= 0.58 and inside.max() <= 0.92 and len(inside) == 9
    assert not quiet_frames(times, pauses(np.ones(16000, np.float32))).any()


def test_loudness_is_that_about_each_moment() -> None:
    sound = np.concatenate((np.zeros(8000), 0.5 * np.ones(8000))).astype(np.float32)
    np.testing.assert_allclose(loudness(sound, np.array([0.2, 0.5, 0.8, 3.0])), [0, 0.354, 0.5, 0], atol=1e-3)
