"""Faces that walk, leave and come back, cross, come nearer or are cut: the report and the pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from moving_people import Person, Place, Scene, walk
from numpy.typing import NDArray

from megactor_core.media.source import pictures_source
from megactor_core.motion import Amplitude
from megactor_core.vision.crops import face_crop
from megactor_core.vision.driving import PreparedDriving, prepare_driving
from megactor_core.vision.faces import Face
from megactor_core.vision.head_crop import head_crop
from megactor_core.vision.portrait import segment_reference
from megactor_core.vision.tracking import follow_face, track_faces

SIZE = 128
ANNE, BEN = Person(3), Person(5)


def prepared_of(scene: Scene, **options: Any) -> PreparedDriving:
    source = pictures_source(scene.frames, Fraction(25))
    return prepare_driving(source, SIZE, detector=scene, antialias=True, **options)


def boxes_in_squares(scene: Scene, driving: PreparedDriving, who: int = 0) -> NDArray[np.float64]:
    """The true boxes of a person in pixels of the squares, nan where they are not there."""
    rows = np.full((len(scene.frames), 4), np.nan)
    for index, boxes in enumerate(scene.boxes):
        if boxes[who] is not None:
            rows[index] = driving.square(index).to_crop(boxes[who])
    return rows


def picture_of(image: NDArray, box: NDArray) -> NDArray[np.float64]:
    """What a box, which need not lie on whole pixels, shows of a grey picture, (12, 12)."""
    scale = (box[2:] - box[:2]) / 12
    affine = np.column_stack([np.diag(scale), box[:2] + scale / 2 - 0.5])
    smooth = cv2.GaussianBlur(image.astype(np.float64), (0, 0), float(scale.mean()) / 2)
    return cv2.warpAffine(smooth, affine, (12, 12), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def check_pixels(scene: Scene, driving: PreparedDriving, who: int = 0) -> None:
    """Every condition frame shows this person's face of that frame, wherever it was seen."""
    compared = 0
    boxes = boxes_in_squares(scene, driving, who)
    for index, condition in enumerate(driving.conditions()):
        truth = scene.boxes[index][who]
        if truth is None or not any(face.box == tuple(truth) for face in scene.faces[index]):
            continue
        grey = cv2.cvtColor(scene.frames[index], cv2.COLOR_RGB2GRAY)
        expected, shown = picture_of(grey, np.array(truth)), picture_of(condition, boxes[index])
        expected, shown = expected[1:-1, 1:-1], shown[1:-1, 1:-1]  # the condition is cut at whole pixels
        assert np.corrcoef(expected.ravel(), shown.ravel())[0, 1] > 0.9, index
        compared += 1
    assert compared > 5


@pytest.fixture(scope="module")
def walking() -> Scene:
    return Scene().shoot([(ANNE, walk((30, 90, 40), (290, 90, 40), 50))])


def test_a_face_that_stays_inside_gets_the_published_square() -> None:
    scene = Scene().shoot([(ANNE, walk((150, 90, 40), (175, 85, 44), 12))])
    for framing, published in (("face", face_crop), ("head", head_crop)):
        driving = prepared_of(scene, framing=framing)
        boxes = [faces[0].box for faces in scene.faces]
        assert driving.crop == published(boxes, (180, 320), SIZE) and driving.path is None
        assert driving.report == "face found in all 12 frames"


@pytest.mark.parametrize("framing", ["face", "head"])
def test_the_square_follows_who_walks(walking: Scene, framing: str) -> None:
    driving = prepared_of(walking, framing=framing)
    boxes = boxes_in_squares(walking, driving)
    assert boxes.min() >= 0 and boxes.max() <= SIZE
    assert "the square follows the face" in driving.report
    assert ("repeated, in 0-" in driving.report) == (driving.path.min() < 0)
    sides = driving.path[:, 2:] - driving.path[:, :2]
    assert (sides == sides[0, 0]).all()
    # Calm: a step is like the last one, but for rounding to whole pixels.
    assert np.abs(np.diff(driving.path[:, 0], n=2)).max() <= 1
    assert (driving.crop.box[0], driving.crop.box[2]) == (driving.path[:, 0].min(), driving.path[:, 2].max())
    check_pixels(walking, driving)


def test_a_small_face_may_be_fast() -> None:
    scene = Scene().shoot([(ANNE, walk((20, 90, 22), (300, 90, 22), 12))])
    driving = prepared_of(scene)
    assert driving.report.startswith("face found in all 12 frames; the square follows the face")
    boxes = boxes_in_squares(scene, driving)
    assert boxes.min() >= 0 and boxes.max() <= SIZE


def test_the_heads_own_motion_is_not_the_squares() -> None:
    path = walk((30, 90, 40), (290, 90, 40), 75)
    nodding = 6 * np.sin(2 * np.pi * np.arange(75) / 12)
    places: list[Place] = [(x, y + shift, tall) for (x, y, tall), shift in zip(path, nodding, strict=True)]
    scene = Scene().shoot([(ANNE, places)])
    driving = prepared_of(scene)
    boxes = boxes_in_squares(scene, driving)
    seen = (boxes[:, 1] + boxes[:, 3]) / 2 / driving.square(0).scale[1]
    wanted = np.array([(box[0][1] + box[0][3]) / 2 for box in scene.boxes])
    np.testing.assert_allclose((seen - seen.mean())[12:-12], (wanted - wanted.mean())[12:-12], atol=1.6)
    across = (boxes[:, 0] + boxes[:, 2]) / 2
    assert np.ptp(across) < 0.15 * SIZE


def test_the_square_is_placed_anew_where_the_face_returns() -> None:
    for away in (5, 25):
        places = [(60, 90, 40)] * 12 + [None] * away + [(260, 70, 40)] * 12
        scene = Scene().shoot([(ANNE, places)])
        driving = prepared_of(scene, lost="interpolate", smoothing=0.9)
        back = 12 + away
        assert f"face not found in {away} of {back + 12} frames (12-{back - 1})" in driving.report
        assert f"the square is placed anew in {back}" in driving.report
        assert (driving.path[:back] == driving.path[0]).all()
        assert (driving.path[back:] == driving.path[back]).all()
        boxes = boxes_in_squares(scene, driving)
        assert np.nanmin(boxes) >= 0 and np.nanmax(boxes) <= SIZE
        check_pixels(scene, driving)


def test_a_face_that_comes_nearer_is_not_cut() -> None:
    scene = Scene().shoot([(ANNE, walk((100, 90, 24), (170, 95, 200), 20))])
    driving = prepared_of(scene)
    assert driving.path is None
    visible = np.array([faces[0].box for faces in scene.faces])
    square = np.array(driving.crop.box)
    assert (visible[:, :2] >= square[:2]).all() and (visible[:, 2:] <= square[2:]).all()


@pytest.mark.parametrize("framing", ["face", "head"])
@pytest.mark.parametrize("x, y", [(14, 60), (306, 120), (160, 14), (160, 168), (8, 172)])
def test_a_face_on_the_border_is_shown_as_far_as_the_picture_does(x: int, y: int, framing: str) -> None:
    scene = Scene().shoot([(ANNE, [(x, y, 50)] * 2)])
    box = np.clip(scene.boxes[0][0], 0, [320, 180, 320, 180]).tolist()
    scene.faces = [(Face((box[0], box[1], box[2], box[3])),)] * 2
    driving = prepared_of(scene, framing=framing)
    portrait = segment_reference(scene.frames[0], SIZE, detector=scene, framing=framing)
    for crop, report in ((driving.crop, driving.report), (portrait.crop, portrait.report)):
        left, top, right, bottom = scene.faces[0][0].box
        assert crop.box[0] <= left and crop.box[1] <= top and right <= crop.box[2] and bottom <= crop.box[3]
        over = min(crop.box) < 0 or crop.box[2] > 320 or crop.box[3] > 180
        assert ("it reaches over the border, whose pixels are repeated" in report) == over
        assert over or framing == "head"
    expected = cv2.copyMakeBorder(scene.frames[0], *[99] * 4, borderType=cv2.BORDER_REPLICATE)
    left, top, right, bottom = (side + 99 for side in portrait.crop.box)
    whole = cv2.resize(expected[top:bottom, left:right].astype(np.float32), (SIZE, SIZE))
    np.testing.assert_allclose(portrait.pixels, whole, atol=0.5)


@pytest.fixture(scope="module")
def crossing() -> Scene:
    """Anne goes right, behind Ben who goes left."""
    there = walk((50, 92, 44), (270, 92, 44), 50)
    return Scene().shoot([(ANNE, there), (BEN, [(x, 86.0, 44.0) for x, _, _ in there[::-1]])])


def centers(boxes: NDArray) -> NDArray:
    return (boxes[:, 0] + boxes[:, 2]) / 2


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("who", [0, 1])
def test_who_passes_behind_another_goes_on_as_before(crossing: Scene, who: int, looks: bool) -> None:
    frames = crossing.frames if looks else None
    track = follow_face(crossing.faces, choice=who, frames=frames)
    truth = np.array([boxes[who] for boxes in crossing.boxes])
    assert np.abs(centers(track.boxes) - centers(truth))[track.found].max() < 8
    assert track.found[:15].all() and track.found[-15:].all()
    assert not track.report.chosen_again and not track.report.doubtful and not track.starts
    check_pixels(crossing, prepared_of(crossing, face=who), who)


def test_who_turns_back_behind_another_is_known_by_their_looks() -> None:
    there = walk((60, 92, 44), (150, 92, 44), 25)
    back = there + there[::-1]
    scene = Scene().shoot([(ANNE, back), (BEN, [(155.0, 86.0, 44.0)] * 50)])
    track = track_faces(scene.frames, scene, choice=0)
    truth = np.array([boxes[0] for boxes in scene.boxes])
    assert not track.found.all() and track.found[-12:].all()
    assert np.abs(centers(track.boxes) - centers(truth))[track.found].max() < 8


def test_another_person_is_not_taken_for_who_has_left() -> None:
    anne: list[Place] = [(70, 90, 44)] * 10 + [None] * 30 + [(250, 80, 44)] * 10
    scene = Scene().shoot([(ANNE, anne), (BEN, [(170, 90, 40)] * 50)])
    report = track_faces(scene.frames, scene).report
    assert report.lost == tuple(range(10, 40)) and not report.chosen_again and not report.doubtful
    never = Scene().shoot([(ANNE, anne[:40]), (BEN, [(170, 90, 40)] * 40)])
    report = track_faces(never.frames, never).report
    assert report.chosen_again == report.doubtful == (22,)
    assert "chosen again in 22; another face may have been followed from frame 22" in str(report)


def test_a_cut_is_no_motion() -> None:
    scene = Scene().shoot([(ANNE, [(60, 90, 40)] * 12), (BEN, [(250, 90, 30)] * 12)])
    scene.shoot([(ANNE, [(90, 80, 30)] * 12), (BEN, [(240, 90, 60)] * 12)], wall=(60, 40, 30))
    track = track_faces(scene.frames, scene, smoothing=0.95, lost="interpolate")
    assert track.cuts == track.starts == (12,)
    assert track.report.chosen_again == (12,)
    np.testing.assert_allclose(centers(track.boxes[:12]), 60, atol=6)
    np.testing.assert_allclose(centers(track.boxes[12:]), 240, atol=6)
    faces = scene.faces
    scene.faces = [() if 8 <= index < 15 else several for index, several in enumerate(faces)]
    lost = track_faces(scene.frames, scene, lost="interpolate")
    assert lost.report.lost == tuple(range(8, 15))
    np.testing.assert_allclose(centers(lost.boxes[:12]), 60, atol=6)
    np.testing.assert_allclose(centers(lost.boxes[12:]), 240, atol=6)
    driving = prepared_of(scene, lost="interpolate")
    assert "chosen again in 15" in driving.report
    shots = ((0, slice(0, 12)), (1, slice(12, 24)))
    boxes = np.concatenate([boxes_in_squares(scene, driving, who)[part] for who, part in shots])
    assert boxes.min() >= 0 and boxes.max() <= SIZE


def test_every_shot_has_a_size_of_its_own() -> None:
    scene = Scene().shoot([(ANNE, [(40, 60, 20)] * 8)])
    scene.shoot([(ANNE, [(250, 100, 110)] * 8)], wall=(60, 40, 30))
    driving = prepared_of(scene)
    assert "chosen again in 8" in driving.report and "the square is placed anew in 8" in driving.report
    shares = [np.ptp(row[[1, 3]]) / SIZE for row in boxes_in_squares(scene, driving)]
    assert min(shares) > 0.2
    check_pixels(scene, driving)


def test_an_index_is_awaited_in_every_shot() -> None:
    scene = Scene().shoot([(ANNE, [(60, 90, 40)] * 8), (BEN, [None] * 4 + [(250, 90, 40)] * 4)])
    scene.shoot([(ANNE, [(90, 80, 40)] * 8), (BEN, [None] * 3 + [(240, 90, 40)] * 5)], wall=(60, 40, 30))
    track = track_faces(scene.frames, scene, choice=1)
    assert track.report.lost == (0, 1, 2, 3, 8, 9, 10)
    assert track.report.chosen_again == (11,)


def test_patches_go_with_the_square(walking: Scene) -> None:
    faces = walking.faces
    source = pictures_source(walking.frames, Fraction(25))
    for mode in ("eyes_mouth", "contour", "hints"):
        driving = prepare_driving(source, SIZE, faces=faces, mode=mode)
        assert driving.path is not None
        for index in (0, 24, 49):
            points = driving.square(index).to_crop(faces[index][0].landmarks)
            mouth = points[48:68].mean(axis=0)
            boxes = driving.plan.boxes[index] if mode == "hints" else driving.plan.boxes_of(index)
            assert any(
                left <= mouth[0] <= right and top <= mouth[1] <= bottom for left, top, right, bottom in boxes
            )
    still = prepare_driving(source, SIZE, faces=faces, mode="eyes", amplitude=Amplitude(head_motion=0))
    held = [still.square(index).to_crop(faces[index][0].landmarks) for index in range(50)]
    moved = [
        affine[:, :2] @ points[27:36].T + affine[:, 2:]
        for affine, points in zip(still.head, held, strict=True)
    ]
    middle = np.array([points.mean(axis=1) for points in moved])
    assert np.ptp(middle, axis=0).max() < 3


def test_pictures_for_people_are_the_squares_that_are_used(walking: Scene) -> None:
    driving = prepared_of(walking)
    squares = list(driving.crops())
    for index in (0, 30, 49):
        np.testing.assert_allclose(driving.picture(index), squares[index], atol=0.51)


def test_a_given_box_is_kept_and_the_report_says_where_the_face_leaves_it(walking: Scene) -> None:
    driving = prepared_of(walking, crop=(0, 30, 120, 150))
    assert driving.crop.box == (0, 30, 120, 150) and driving.path is None
    outside = [index for index, boxes in enumerate(walking.boxes) if boxes[0][2] > 120 + 2]
    assert f"the face is partly or wholly outside the square in {len(outside)} of 50 frames" in driving.report
    assert f"({outside[0]}-49)" in driving.report


def test_the_largest_face_is_that_of_the_box() -> None:
    scene = Scene().shoot([(ANNE, [(60, 90, 60)] * 3), (BEN, [(240, 90, 40)] * 3)])
    driving = prepared_of(scene, crop=(190, 40, 290, 140))
    assert driving.report == "face found in all 3 frames"
    check = boxes_in_squares(scene, driving, 1)
    assert check.min() >= 0 and check.max() <= SIZE
    assert all((condition > 0).any() for condition in driving.conditions())
    portrait = segment_reference(scene.frames[0], SIZE, crop=(190, 40, 290, 140), detector=scene)
    assert portrait.report == "" and 0.05 < portrait.foreground.mean() < 0.8
