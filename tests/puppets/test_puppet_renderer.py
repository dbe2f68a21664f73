"""Renderer of puppets: reproducible pictures whose annotations agree with their pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from megactor_core.puppets.identity import HAIR_STYLES, STYLES, Identity, sample_identity
from megactor_core.puppets.motion import MOTION_NAMES, MOTION_RANGES, NEUTRAL_MOTION, sample_pose
from megactor_core.puppets.renderer import Puppet, PuppetFrame, render, render_image

SIZE = 128


def make_identity(seed: int, **changes: object) -> Identity:
    return replace(sample_identity(np.random.default_rng(seed)), **changes)  # type: ignore[arg-type]


def make_motion(**values: float) -> np.ndarray:
    motion = NEUTRAL_MOTION.copy()
    for name, value in values.items():
        motion[MOTION_NAMES.index(name)] = value
    return motion


def plain(seed: int) -> Identity:
    """An identity with nothing over the face."""
    return make_identity(seed, hair_style="bald", glasses="none", beard="none", style="soft")


def region(landmarks: np.ndarray, low: int, high: int, margin: float) -> np.ndarray:
    """Boolean picture: the rectangle around landmarks low..high, ``margin`` pixels wider."""
    points = landmarks[low:high]
    (left, top), (right, bottom) = points.min(0) - margin, points.max(0) + margin
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.asarray((x >= left) & (x <= right) & (y >= top) & (y <= bottom))


def changed(first: PuppetFrame, second: PuppetFrame, limit: int = 8) -> np.ndarray:
    return np.asarray(np.abs(first.image.astype(int) - second.image).max(2) > limit)


def test_same_input_gives_same_pixels_whatever_was_drawn_before() -> None:
    identity, motion = make_identity(0), sample_pose(np.random.default_rng(5))
    puppet = Puppet(identity, SIZE)
    puppet.frame(sample_pose(np.random.default_rng(6)))
    first, second = puppet.frame(motion), render(identity, motion, SIZE)
    for name in ("image", "mask", "landmarks", "face_box"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(render_image(identity, motion, SIZE), first.image)


@pytest.mark.parametrize("size", [48, 64, 95, 96, 256, 512])
def test_every_size_shows_the_same_face(size: int) -> None:
    identity, motion = make_identity(1), sample_pose(np.random.default_rng(1))
    frame, usual = render(identity, motion, size), render(identity, motion, SIZE)
    assert frame.image.shape == (size, size, 3) and frame.image.dtype == np.uint8
    assert frame.mask.shape == (size, size) and frame.mask.dtype == np.float32
    assert frame.landmarks.shape == (68, 2) and frame.face_box.shape == (4,)
    assert (frame.landmarks + 0.5) / size == pytest.approx((usual.landmarks + 0.5) / SIZE, abs=1e-4)
    assert frame.mask.mean() == pytest.approx(usual.mask.mean(), abs=0.02)
    assert frame.image.mean((0, 1)) == pytest.approx(usual.image.mean((0, 1)), abs=4)


@pytest.mark.parametrize("hair_style", HAIR_STYLES)
@pytest.mark.parametrize("style", STYLES)
def test_mask_is_the_share_of_the_person_in_every_pixel(style: str, hair_style: str) -> None:
    identity = make_identity(2, style=style, hair_style=hair_style, beard="full", background="gradient")
    motion = sample_pose(np.random.default_rng(len(style) + len(hair_style)))
    dark, light = (
        render(replace(identity, background_colors=(color,) * 3), motion, SIZE)
        for color in ((0, 0, 0), (255, 255, 255))
    )
    through = (light.image.astype(float) - dark.image).mean(2) / 255
    np.testing.assert_array_equal(dark.mask, light.mask)
    np.testing.assert_allclose(1 - dark.mask, through, atol=0.04)
    assert 0.2 < dark.mask.mean() < 0.75


@pytest.mark.parametrize("name", MOTION_NAMES)
def test_each_parameter_changes_the_picture_where_it_should(name: str) -> None:
    puppet, column = Puppet(plain(3), SIZE), MOTION_NAMES.index(name)
    neutral = puppet.frame(NEUTRAL_MOTION)
    parts = {
        "gaze": [(36, 48, 4.0)],
        "eyelid_left": [(36, 42, 6.0)],
        "eyelid_right": [(42, 48, 6.0)],
        "brow_left": [(17, 22, 12.0)],
        "brow_right": [(22, 27, 12.0)],
        "mouth": [(48, 68, 16.0), (2, 15, 8.0)],
        "smile": [(48, 68, 8.0)],
    }
    own = next((rectangles for prefix, rectangles in parts.items() if name.startswith(prefix)), None)
    seen = 0
    for value in MOTION_RANGES[column]:
        motion = make_motion(**{name: float(value)})
        difference = changed(neutral, puppet.frame(motion))
        seen = max(seen, int(difference.sum()))
        if own is not None:
            allowed = np.zeros((SIZE, SIZE), bool)
            for low, high, margin in own:
                allowed |= region(neutral.landmarks, low, high, margin)
            assert not (difference & ~allowed).any()
    assert seen > (60 if own else 1000)


@pytest.mark.parametrize("seed", range(4))
def test_background_does_not_move(seed: int) -> None:
    puppet, rng = Puppet(make_identity(seed), SIZE), np.random.default_rng(seed)
    first, second = (puppet.frame(sample_pose(rng)) for _ in range(2))
    empty = (first.mask == 0) & (second.mask == 0)
    assert empty.mean() > 0.1
    np.testing.assert_array_equal(first.image[empty], second.image[empty])


def test_directions_of_the_head() -> None:
    puppet = Puppet(plain(4), SIZE)

    def points(**values: float) -> np.ndarray:
        return puppet.frame(make_motion(**values)).landmarks

    start = points()
    assert points(x=1)[:, 0].min() - start[:, 0].min() == pytest.approx(0.1 * SIZE, abs=0.1)
    assert points(y=1)[:, 1].min() - start[:, 1].min() == pytest.approx(0.06 * SIZE, abs=0.1)
    assert np.ptp(points(scale=1), 0) == pytest.approx(1.13 * np.ptp(start, 0), rel=1e-3)
    across = points(roll=1)[45] - points(roll=1)[36]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(19, abs=0.5)


def test_yaw_and_pitch_move_features_against_the_outline_and_foreshorten() -> None:
    puppet = Puppet(plain(4), SIZE)
    start = puppet.frame(NEUTRAL_MOTION).landmarks
    turned = puppet.frame(make_motion(yaw=1)).landmarks
    lowered = puppet.frame(make_motion(pitch=1)).landmarks
    outline_shift = (turned[[0, 16]] - start[[0, 16]])[:, 0].mean()
    assert turned[33, 0] - start[33, 0] > outline_shift + 6
    assert lowered[33, 1] - start[33, 1] > 4
    assert turned[45, 0] - turned[36, 0] < 0.95 * (start[45, 0] - start[36, 0])


def test_landmarks_follow_lids_brows_and_mouth() -> None:
    puppet = Puppet(plain(5), SIZE)

    def height(first: int, second: int, **values: float) -> float:
        points = puppet.frame(make_motion(**values)).landmarks
        return float(points[second, 1] - points[first, 1])

    lids = [height(37, 41, eyelid_left=value) for value in (0.0, 0.5, 1.0)]
    assert lids[0] < 0.5 and lids[0] < lids[1] < lids[2]
    assert height(43, 47, eyelid_left=0.0) == pytest.approx(height(43, 47))
    assert height(19, 30, brow_left=1) > height(19, 30) > height(19, 30, brow_left=-1)
    mouths = [height(62, 66, mouth_open=value) for value in (0.0, 0.5, 1.0)]
    assert mouths[0] < 0.5 and mouths[1] > 5 and mouths[2] > 10
    assert height(48, 62, smile=1) > height(48, 62) > height(48, 62, smile=-1)


def test_landmarks_lie_on_the_pixels_they_name() -> None:
    identity = replace(plain(6), ear_size=0.02)
    frame = render(identity, make_motion(mouth_open=1.0), 256)

    def pixel(point: np.ndarray) -> np.ndarray:
        x, y = np.rint(point).astype(int)
        return frame.image[y, x].astype(int)

    middle = frame.landmarks[36:48].mean(0)
    for index in (1, 2, 14, 15):
        outward = np.sign(frame.landmarks[index, 0] - middle[0]) * np.array((5, 0))
        inside, outside = (np.rint(frame.landmarks[index] + s * outward).astype(int) for s in (-1, 1))
        assert frame.mask[inside[1], inside[0]] == 1
        assert frame.mask[outside[1], outside[0]] == 0
    for low in (17, 22):
        brow = frame.landmarks[low + 2] + (0, identity.brow_thickness * 0.25 * identity.head_width * 256)
        np.testing.assert_allclose(pixel(brow), identity.brow_color, atol=12)
    assert np.abs(pixel(frame.landmarks[60:68].mean(0)) - identity.skin).max() > 60
    white = pixel(frame.landmarks[[36, 41]].mean(0))
    assert white.min() > 200


@pytest.mark.parametrize("seed", range(6))
def test_face_box_holds_the_face_and_little_else(seed: int) -> None:
    frame = render(make_identity(seed), sample_pose(np.random.default_rng(seed)), SIZE)
    left, top, right, bottom = frame.face_box
    assert 0 <= left < right <= SIZE and 0 <= top < bottom <= SIZE
    assert (frame.landmarks.min(0) >= (left, top)).all()
    assert (frame.landmarks.max(0) <= (right, bottom)).all()
    assert (right - left) * (bottom - top) < 1.4 * np.prod(np.ptp(frame.landmarks, 0))
