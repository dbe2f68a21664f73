"""What an animation is tested with."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.evaluation.puppets.drives import DRIVES, Drive, puppet_drives
from megactor_core.puppets.clips import clip_pair, sample_clip
from megactor_core.puppets.motion import MOTION_NAMES
from megactor_core.vision.modes.mode import GREY, DrivingMode
from megactor_core.vision.modes.registry import MODES


def grey(drive: Drive) -> np.ndarray:
    return drive.shown[GREY]


def test_drivers_share_the_motion_or_not() -> None:
    drives, following = puppet_drives(3, 1, 2, 64), sample_clip(3, 2, 2, "held-out")
    assert set(drives.drives) == set(DRIVES)
    np.testing.assert_array_equal(drives.pair.truth_frames, clip_pair(3, 1, 2, 64, "held-out").truth_frames)
    assert following.driver_identity != drives.pair.clip.driver_identity
    assert not np.array_equal(drives.second_frames, drives.pair.driver_frames)
    assert not grey(drives.drives["removed"]).any() and not drives.drives["removed"].sound.any()


def test_only_the_face_is_shown_unless_the_whole_frame_is_asked_for() -> None:
    face, whole = (
        grey(puppet_drives(3, 0, 2, 64, condition).drives["cross"]) for condition in ("face", "whole")
    )
    kept = face > 0
    np.testing.assert_array_equal(face[kept], whole[kept])
    assert (face[:, -1] == 0).all() and (whole[:, -1] > 0).any()


def test_a_still_reference_drives_itself() -> None:
    drives = puppet_drives(3, 0, 2, 64, "whole")
    picture = drives.pair.reference.image.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
    assert grey(drives.still).shape == grey(drives.drives["self"]).shape
    np.testing.assert_allclose(grey(drives.still), np.stack([picture, picture]), atol=1)


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_every_mode_shows_every_driver_at_the_place_of_the_truth(mode: DrivingMode) -> None:
    drives = puppet_drives(3, 0, 3, 64, mode=mode)
    for drive in (*drives.drives.values(), drives.still):
        shapes = {name: frames.shape for name, frames in drive.shown.items()}
        assert shapes == {name: (3, 64, 64) if name == GREY else (3, 64, 64, 3) for name in mode.pictures}
    seen = {name: np.argwhere(frames[0] > 0) for name, frames in drives.drives["cross"].shown.items()}
    box = drives.pair.truth_boxes[0]
    for places in seen.values():
        y, x = places[:, :2].mean(axis=0)
        assert box[0] < x < box[2] and box[1] - 8 < y < box[3]


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_a_stretched_driver_is_stretched_across_alone(mode: DrivingMode) -> None:
    drives = puppet_drives(3, 0, 2, 64, mode=mode)
    for name, cross in drives.drives["cross"].shown.items():
        wide, narrow = (drives.stretched[key].shown[name] for key in ("wide", "narrow"))
        sides = [
            np.ptp(np.argwhere(one[0].reshape(64, 64, -1).max(axis=2) > 8), axis=0)
            for one in (narrow, cross, wide)
        ]
        assert sides[0][0] == pytest.approx(sides[1][0], abs=1) == pytest.approx(sides[2][0], abs=1)
        assert sides[0][1] < sides[1][1] <= sides[2][1]


def test_the_sound_is_that_of_the_drivers_mouth() -> None:
    drives = puppet_drives(3, 0, 30, 64)
    opening = drives.pair.motion[:, MOTION_NAMES.index("mouth_open")]
    loudness = np.sqrt((drives.drives["cross"].sound.reshape(30, -1) ** 2).mean(axis=1))
    assert np.corrcoef(loudness, opening)[0, 1] > 0.8
    np.testing.assert_array_equal(drives.drives["self"].sound, drives.drives["cross"].sound)
    assert not np.array_equal(drives.drives["shuffled"].sound, drives.drives["cross"].sound)
