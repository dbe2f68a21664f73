"""Puppet clips: reproducible, exact cross-identity truth, and a held-out split that training never sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from megactor_core.puppets.clips import clip_pair, sample_clip
from megactor_core.puppets.renderer import render
from megactor_core.seeds import clip_generator

SIZE = 64


def test_same_arguments_give_the_same_clip_and_others_do_not() -> None:
    first, second = clip_pair(1, 4, 5, SIZE), clip_pair(1, 4, 5, SIZE)
    np.testing.assert_array_equal(first.truth_frames, second.truth_frames)
    np.testing.assert_array_equal(first.driver_frames, second.driver_frames)
    assert first.clip.identity == second.clip.identity
    for other in (sample_clip(1, 5, 5), sample_clip(2, 4, 5), sample_clip(1, 4, 5, "held-out")):
        assert other.identity != first.clip.identity
        assert not np.array_equal(other.motion, first.motion)


def test_shapes_of_a_pair() -> None:
    pair = clip_pair(0, 0, 3, SIZE)
    assert pair.reference.image.shape == (SIZE, SIZE, 3)
    for frames in (pair.driver_frames, pair.truth_frames):
        assert frames.shape == (3, SIZE, SIZE, 3) and frames.dtype == np.uint8
    for masks in (pair.driver_masks, pair.truth_masks):
        assert masks.shape == (3, SIZE, SIZE) and masks.dtype == np.float32
    for boxes in (pair.driver_boxes, pair.truth_boxes):
        assert boxes.shape == (3, 4) and boxes.dtype == np.float32
    assert pair.motion.shape == (3, 15)
    assert pair.truth_landmarks.shape == pair.driver_landmarks.shape == (3, 68, 2)


def test_identities_do_not_depend_on_the_number_of_frames() -> None:
    short, long = sample_clip(0, 3, 2), sample_clip(0, 3, 40)
    assert (short.identity, short.driver_identity) == (long.identity, long.driver_identity)
    np.testing.assert_array_equal(short.reference_pose, long.reference_pose)


@pytest.mark.parametrize("index", range(3))
def test_truth_is_the_reference_identity_with_the_drivers_motion(index: int) -> None:
    pair = clip_pair(7, index, 4, SIZE)
    clip = pair.clip
    assert clip.identity != clip.driver_identity
    # The driver with the first person's shape, but its own colours, has exactly the truth's landmarks.
    painted = replace(
        clip.identity,
        skin=clip.driver_identity.skin,
        hair_style=clip.driver_identity.hair_style,
        background=clip.driver_identity.background,
        style=clip.driver_identity.style,
    )
    for frame, motion in enumerate(clip.motion):
        np.testing.assert_array_equal(pair.truth_frames[frame], render(clip.identity, motion, SIZE).image)
        np.testing.assert_array_equal(
            pair.driver_frames[frame], render(clip.driver_identity, motion, SIZE).image
        )
        np.testing.assert_array_equal(pair.truth_landmarks[frame], render(painted, motion, SIZE).landmarks)


@pytest.mark.parametrize("index", range(3))
def test_background_of_reference_and_truth_is_the_same(index: int) -> None:
    pair = clip_pair(8, index, 4, SIZE)
    empty = (pair.truth_masks == 0).all(0) & (pair.reference.mask == 0)
    assert empty.any()
    for frame in pair.truth_frames:
        np.testing.assert_array_equal(frame[empty], pair.reference.image[empty])


def test_driver_and_truth_heads_move_alike() -> None:
    pair = clip_pair(9, 0, 40, SIZE)
    eyes_truth, eyes_driver = (
        points[:, 36:48].mean(1) - points[:, 36:48].mean((0, 1))
        for points in (pair.truth_landmarks, pair.driver_landmarks)
    )
    for axis in (0, 1):
        assert np.corrcoef(eyes_truth[:, axis], eyes_driver[:, axis])[0, 1] > 0.95


def test_no_training_seed_reaches_a_held_out_clip() -> None:
    held_out = {
        clip_generator(seed, index, "held-out").integers(2**63) for seed in range(30) for index in range(30)
    }
    train = {clip_generator(seed, index).integers(2**63) for seed in range(30) for index in range(30)}
    assert len(held_out) == len(train) == 900
    assert not held_out & train
    # The split's key is part of every generator's seed, for seeds of any size too.
    for seed in (0, 2**32 + 1, 2 | 2**40):
        keys = {
            clip_generator(seed, 0, split).bit_generator.seed_seq.spawn_key[0]
            for split in ("train", "held-out")
        }
        assert len(keys) == 2
