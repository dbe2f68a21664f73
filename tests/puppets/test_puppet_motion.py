"""Motion of puppets: ranges, smoothness, liveliness, and the same distribution for poses and clips."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.puppets.motion import (
    MOTION_NAMES,
    MOTION_RANGES,
    NEUTRAL_MOTION,
    sample_motion,
    sample_pose,
)

# Fastest change within 1/25 s; gaze and lids jump in life too.
FASTEST = {
    "smile": 0.5,
    "gaze_x": 1.0,
    "gaze_y": 1.0,
    "mouth_open": 0.75,
    "mouth_width": 0.85,
    "brow_left": 0.6,
    "brow_right": 0.6,
}


def fastest(name: str) -> float:
    return 0.75 if name.startswith("eyelid") else FASTEST.get(name, 0.4)


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([sample_motion(rng, 75) for _ in range(300)])


def test_motion_is_reproducible() -> None:
    first, second = (sample_motion(np.random.default_rng(7), 30) for _ in range(2))
    assert first.shape == (30, 15) and first.dtype == np.float32
    np.testing.assert_array_equal(first, second)


def test_values_stay_in_their_ranges(clips: np.ndarray) -> None:
    assert (clips >= MOTION_RANGES[:, 0]).all() and (clips <= MOTION_RANGES[:, 1]).all()
    assert (NEUTRAL_MOTION >= MOTION_RANGES[:, 0]).all() and (NEUTRAL_MOTION <= MOTION_RANGES[:, 1]).all()


@pytest.mark.parametrize("name", MOTION_NAMES)
def test_motion_is_smooth_and_lively(clips: np.ndarray, name: str) -> None:
    values = clips[..., MOTION_NAMES.index(name)]
    steps = np.abs(np.diff(values, axis=1))
    assert steps.max() < fastest(name)
    assert np.median(steps) < 0.06
    assert np.mean(np.ptp(values, axis=1)) > 0.6


def test_twice_the_frame_rate_halves_the_steps() -> None:
    slow = [
        np.abs(np.diff(sample_motion(np.random.default_rng(k), 50, 25), axis=0)).mean() for k in range(60)
    ]
    fast = [
        np.abs(np.diff(sample_motion(np.random.default_rng(k), 100, 50), axis=0)).mean() for k in range(60)
    ]
    assert np.mean(fast) / np.mean(slow) == pytest.approx(0.5, abs=0.06)


def test_a_pose_has_the_distribution_of_any_frame(clips: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    poses = np.stack([sample_pose(rng) for _ in range(1500)])
    levels = np.linspace(0.1, 0.9, 9)
    for frames in (clips[:, 0], clips[:, -1], clips.reshape(-1, 15)):
        difference = np.quantile(poses, levels, axis=0) - np.quantile(frames, levels, axis=0)
        # Single quantiles of 300 values are uncertain, most of all where eyes are about to close.
        assert np.abs(difference).mean() < 0.05
        assert np.abs(poses.mean(0) - frames.mean(0)).max() < 0.12


def test_eyes_close_and_mouths_open_often_enough_to_be_learned(clips: np.ndarray) -> None:
    by_name = dict(zip(MOTION_NAMES, clips.reshape(-1, 15).T, strict=True))
    for name in ("eyelid_left", "eyelid_right"):
        assert 0.08 < np.mean(by_name[name] < 0.1) < 0.35
    assert np.mean(by_name["mouth_open"] > 0.5) > 0.15
    assert np.mean(np.abs(by_name["eyelid_left"] - by_name["eyelid_right"]) > 0.4) > 0.03
