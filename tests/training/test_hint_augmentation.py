"""Hints in training: changed as drawn, alike in all frames of a clip, and blind to who is driven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from megactor_core.puppets.identity import sample_identity
from megactor_core.puppets.motion import sample_motion
from megactor_core.puppets.renderer import Puppet, PuppetFrame
from megactor_core.seeds import clip_generator
from megactor_core.training.config.controls import ControlsConfig, HintAugmentationConfig
from megactor_core.training.config.tasks import PuppetClipsConfig
from megactor_core.training.data.hint_augmentation import HintAugmentation, draw_augmentation
from megactor_core.training.data.puppets import PuppetClips
from megactor_core.training.data.sample import ClipSample, SampleFormat, make_sample
from megactor_core.training.data.thin_plate import ThinPlateWarp
from megactor_core.vision.face_patches import patch_boxes
from megactor_core.vision.modes.hints import FACE, HINTS, PATCHES, plan_hints
from megactor_core.vision.modes.mode import ClipFaces, PlanOptions

SIZE, FRAMES = 128, 3
AS_IT_IS = HintAugmentation(False, np.ones(2), np.zeros(2), np.ones((3, 2)), np.ones(3), False, None)
SCALED = replace(AS_IT_IS, scale=np.array([1.2, 0.85]), shift=np.array([0.02, -0.03]))
CONFIG = ControlsConfig(augmentation=HintAugmentationConfig(probability=1.0, grey=0.5))


def frames_of(index: int) -> list[PuppetFrame]:
    puppet = Puppet(sample_identity(clip_generator(0, index)), SIZE)
    return [puppet.frame(pose) for pose in sample_motion(clip_generator(0, 9), FRAMES, 2.5)]


@pytest.fixture(scope="module")
def driver() -> list[PuppetFrame]:
    return frames_of(1)


def faces_of(frames: list[PuppetFrame], target: NDArray[np.floating] | None = None) -> ClipFaces:
    return ClipFaces(SIZE, landmarks=[frame.landmarks for frame in frames], target=target)


def shown(augmentation: HintAugmentation, faces: ClipFaces, squares: list[np.ndarray], index: int = 0):
    plan, _ = augmentation.plan(faces, PlanOptions())
    return plan.pictures(index, squares[index].astype(np.float32))


def test_without_a_change_hints_are_those_of_inference_bit_for_bit(driver: list[PuppetFrame]) -> None:
    faces = faces_of(driver)
    usual, _ = plan_hints(None, list(faces.landmarks), SIZE, "off")
    for index, frame in enumerate(driver):
        expected = usual.pictures(index, frame.image.astype(np.float32))
        given = shown(AS_IT_IS, faces, [one.image for one in driver], index)
        for name in (FACE, PATCHES):
            np.testing.assert_array_equal(given[name], expected[name])


def test_landmarks_lie_where_the_scale_puts_them_and_patches_are_cut_there(driver: list[PuppetFrame]) -> None:
    faces = faces_of(driver)
    plan, _ = SCALED.plan(faces, PlanOptions())
    centre = driver[0].landmarks.mean(axis=0)
    for index, frame in enumerate(driver):
        expected = centre + SCALED.scale * (frame.landmarks - centre) + SCALED.shift * SIZE
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for point in (30, 36, 45, 62):
            x, y = frame.landmarks[point]
            spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)[..., None].repeat(3, -1) * 255
            face = (plan.pictures(index, spot.astype(np.float32))[FACE][..., 0] + 1) / 2
            found = np.array([(columns * face).sum(), (rows * face).sum()]) / face.sum()
            assert np.abs(found - expected[point]).max() < 0.5
        np.testing.assert_array_equal(plan.boxes[index], patch_boxes(expected, SIZE))
        patches = plan.pictures(index, frame.image.astype(np.float32))[PATCHES]
        inside = np.zeros((SIZE, SIZE), bool)
        for left, top, right, bottom in plan.boxes[index]:
            inside[top:bottom, left:right] = True
        assert (patches[~inside] == -1).all() and (patches[inside] > -1).any()
        face = plan.pictures(index, frame.image.astype(np.float32))[FACE]
        np.testing.assert_array_equal(patches[inside], face[inside])


def test_eyes_and_mouth_are_scaled_once_more_inside_their_patches(driver: list[PuppetFrame]) -> None:
    local = replace(SCALED, patch_scales=np.full((3, 2), 1.1))
    squares = [frame.image for frame in driver]
    plain, again = (shown(one, faces_of(driver), squares) for one in (SCALED, local))
    np.testing.assert_array_equal(plain[FACE], again[FACE])
    assert not np.array_equal(plain[PATCHES], again[PATCHES])
    assert ((plain[PATCHES] == -1).all(-1) == (again[PATCHES] == -1).all(-1)).mean() > 0.98


def test_all_frames_of_a_clip_share_one_draw(driver: list[PuppetFrame]) -> None:
    still = [driver[0]] * FRAMES
    drawn = draw_augmentation(CONFIG, 3, 5, "train")
    hints = [shown(drawn, faces_of(still), [one.image for one in still], index) for index in range(FRAMES)]
    for name in (FACE, PATCHES):
        assert all(np.array_equal(hints[0][name], one[name]) for one in hints)
    others = [draw_augmentation(CONFIG, 3, index, "train") for index in range(40)]
    scales = np.stack([one.scale for one in others])
    assert scales.min() < 0.85 and scales.max() > 1.18 and np.abs(np.log(scales)).max() <= np.log(1.25)
    assert len(np.unique(scales)) == scales.size, "each axis has its own"
    assert 5 < sum(one.grey for one in others) < 35


def test_hints_do_not_know_who_is_driven(driver: list[PuppetFrame]) -> None:
    wanted = SampleFormat(SIZE, 16, mode=HINTS, controls=CONFIG)
    weights, samples = np.ones((FRAMES, 16, 16), np.float32), []
    for index in (2, 3):
        target = frames_of(index)
        clip = ClipSample(
            reference=target[0].image,
            foreground=target[0].mask,
            targets=[frame.image for frame in target],
            drivers=[frame.image for frame in driver],
            faces=faces_of(driver, target[0].landmarks),
            augmentation=wanted.augmentation(0, 0, "train"),
        )
        samples.append(make_sample(clip, wanted, weights))
    assert not samples[0]["targets"].equal(samples[1]["targets"])
    for name in (FACE, PATCHES):
        assert samples[0][name].equal(samples[1][name])


def test_puppets_drive_themselves_in_disguise_and_others_as_before() -> None:
    data = PuppetClipsConfig(size=SIZE, references=2, frames=2)

    def batch(controls: ControlsConfig | None, split: str = "train"):
        return PuppetClips(data, 0, split, SampleFormat(SIZE, 16, mode=HINTS, controls=controls))[0]

    usual, own = batch(None), batch(CONFIG.model_copy(update={"self_rate": 1.0}))
    assert usual["targets"].equal(own["targets"]) and usual["references"].equal(own["references"])
    bare = batch(ControlsConfig(self_rate=1.0))
    assert bare[FACE].equal(bare["targets"]), "nothing hides a driver whose hints are not changed"
    assert not own[FACE].equal(own["targets"])
    held_out = batch(CONFIG, "held-out")
    assert held_out[FACE].equal(batch(None, "held-out")[FACE])


def test_a_thin_plate_moves_its_points_and_leaves_the_border() -> None:
    points = np.array([[40.0, 40], [88, 44], [64, 90]])
    offsets = np.array([[5.0, -3], [-4, 2], [0, 6]])
    warp = ThinPlateWarp(points, offsets, SIZE)
    np.testing.assert_allclose(warp.moved(points), points + offsets, atol=1e-6)
    corners = np.array([[0.0, 0], [127, 127]])
    np.testing.assert_allclose(warp.moved(corners), corners, atol=1e-6)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    spot = np.exp(-((columns - 40) ** 2 + (rows - 40) ** 2) / 18).astype(np.float32)[..., None].repeat(3, -1)
    warped = warp.apply(spot)[..., 0]
    found = np.array([(columns * warped).sum(), (rows * warped).sum()]) / warped.sum()
    assert np.abs(found - (points + offsets)[0]).max() < 1
