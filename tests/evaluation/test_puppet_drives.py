"""What an animation is tested with."""

from __future__ import annotations

import numpy as np

from megactor_core.evaluation.puppets.drives import DRIVES, puppet_drives
from megactor_core.puppets.clips import clip_pair, sample_clip


def test_drivers_share_the_motion_or_not() -> None:
    drives, following = puppet_drives(3, 1, 2, 64), sample_clip(3, 2, 2, "held-out")
    assert set(drives.conditions) == set(DRIVES)
    np.testing.assert_array_equal(drives.pair.truth_frames, clip_pair(3, 1, 2, 64, "held-out").truth_frames)
    assert following.driver_identity != drives.pair.clip.driver_identity
    assert not np.array_equal(drives.second_frames, drives.pair.driver_frames)
    assert not drives.conditions["removed"].any()


def test_only_the_face_is_shown_unless_the_whole_frame_is_asked_for() -> None:
    face = puppet_drives(3, 0, 2, 64).conditions
    whole = puppet_drives(3, 0, 2, 64, "whole").conditions
    kept = face["cross"] > 0
    np.testing.assert_array_equal(face["cross"][kept], whole["cross"][kept])
    assert (face["cross"][:, -1] == 0).all() and (whole["cross"][:, -1] > 0).any()


def test_a_still_reference_drives_itself() -> None:
    drives = puppet_drives(3, 0, 2, 64, "whole")
    grey = drives.pair.reference.image.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
    assert drives.still.shape == drives.conditions["self"].shape
    np.testing.assert_allclose(drives.still, np.stack([grey, grey]), atol=1)
