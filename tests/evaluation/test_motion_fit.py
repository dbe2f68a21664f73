"""The fit reads a puppet's motion from pictures alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from megactor_core.evaluation.puppets.motion_fit import MotionFitter
from megactor_core.puppets.clips import clip_pair
from megactor_core.puppets.motion import MOTION_NAMES

CLIP = clip_pair(5, 1, 16, 128, "held-out")
TRUTH = CLIP.motion[::4]


def read(frames: np.ndarray) -> np.ndarray:
    return MotionFitter(CLIP.clip.identity, frames.shape[1]).fit(frames[::4])


def test_the_motion_of_rendered_frames_is_found() -> None:
    errors = np.abs(read(CLIP.truth_frames) - TRUTH).max(0)
    assert dict(zip(MOTION_NAMES, errors, strict=True)) == {
        name: pytest.approx(0, abs=0.12 if index < 6 else 0.3) for index, name in enumerate(MOTION_NAMES)
    }


def test_pictures_of_other_sizes_are_read_alike() -> None:
    """Puppets are drawn in whole pixels: of another size they are other pictures."""
    clip = clip_pair(5, 1, 16, 96, "held-out")
    errors = np.abs(read(clip.truth_frames) - TRUTH).mean(0)
    assert errors[:6].max() < 0.1 and errors[12] < 0.08 and errors.max() < 0.25


@pytest.mark.parametrize("index", [23, 28])
def test_the_pose_that_looks_best_at_first_need_not_be_the_right_one(index: int) -> None:
    clip = clip_pair(1, index, 16, 128, "held-out")
    fitted = MotionFitter(clip.clip.identity, 128).fit(clip.truth_frames[:1])
    assert np.abs(fitted - clip.motion[:1])[:, :6].max() < 0.12


def test_the_motion_of_soft_noisy_frames_is_found() -> None:
    rng = np.random.default_rng(0)
    soft = [
        cv2.GaussianBlur(frame, (0, 0), 2.0) + rng.normal(0, 4, frame.shape) for frame in CLIP.truth_frames
    ]
    errors = np.abs(read(np.clip(soft, 0, 255).astype(np.uint8)) - TRUTH).mean(0)
    assert errors[:6].max() < 0.1
    assert errors.max() < 0.3


def test_a_still_clip_gives_a_still_motion() -> None:
    frames = np.repeat(CLIP.truth_frames[:1], 16, axis=0)
    assert np.ptp(read(frames), axis=0).max() < 0.1


def test_the_same_frames_give_the_same_motion() -> None:
    np.testing.assert_array_equal(read(CLIP.truth_frames), read(CLIP.truth_frames))
