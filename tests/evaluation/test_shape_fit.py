"""The width and height of a puppet's face are read from pictures alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from megactor_core.evaluation.puppets.drives import stretched_pictures
from megactor_core.evaluation.puppets.shape_fit import ShapeFitter, stretched
from megactor_core.puppets.clips import clip_pair, render_motion

CLIPS = {index: clip_pair(0, index, 16, 128, "held-out") for index in (2,)}


def read(index: int, frames: np.ndarray) -> np.ndarray:
    """Width and height over the true ones; the motion is known but for the error of its reading."""
    clip = CLIPS[index]
    about = clip.motion[:1] + np.float32(0.05)
    return ShapeFitter(clip.clip.identity, frames.shape[1]).mean_axes(frames[:1], about, clip.motion[:1])


@pytest.mark.parametrize("index", CLIPS)
def test_a_true_face_has_its_own_size_however_soft_the_picture(index: int) -> None:
    frames = CLIPS[index].truth_frames[:1]
    soft = np.stack([cv2.GaussianBlur(frames[0], (0, 0), 2.5)])
    for pictures in (frames, soft):
        np.testing.assert_allclose(read(index, pictures), 1, atol=0.01)


@pytest.mark.parametrize("index", CLIPS)
def test_a_face_of_another_shape_is_read_as_such(index: int) -> None:
    clip = CLIPS[index]
    drawn = render_motion(stretched(clip.clip.identity, 1.1, 0.95), clip.motion[:1], 128)[0]
    np.testing.assert_allclose(read(index, drawn), (1.1, 0.95), atol=0.01)


def test_a_stretched_picture_shows_a_wider_face() -> None:
    clip = CLIPS[2]
    wide = stretched_pictures(clip.truth_frames[:1], clip.truth_landmarks[:1], 1.2)
    width, height = read(2, wide)
    assert width == pytest.approx(1.2, abs=0.03) and height == pytest.approx(1, abs=0.04)
