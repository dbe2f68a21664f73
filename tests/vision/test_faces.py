"""Face detection and the choice among several faces."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.media.pictures import load_picture
from megactor_core.puppets.clips import clip_pair
from megactor_core.vision.faces import Face, FaceDetector, choose_face


def face(left: float, top: float, right: float, bottom: float) -> Face:
    return Face((left, top, right, bottom), 0.9, np.zeros((5, 2), np.float32))


RIGHT_LARGE, LEFT_SMALL, MIDDLE = face(200, 50, 300, 150), face(10, 60, 50, 100), face(100, 40, 160, 100)
FACES = (RIGHT_LARGE, LEFT_SMALL, MIDDLE)


def test_largest_face_by_default() -> None:
    assert choose_face(FACES) is RIGHT_LARGE


def test_index_counts_from_the_left() -> None:
    assert [choose_face(FACES, index) for index in range(3)] == [LEFT_SMALL, MIDDLE, RIGHT_LARGE]


def test_nearest_to_a_point() -> None:
    assert choose_face(FACES, (120.0, 300.0)) is MIDDLE


@pytest.mark.parametrize("index", [3, -1])
def test_index_without_a_face_says_which_there_are(index: int) -> None:
    with pytest.raises(InputError, match=r"only 3 faces were found.* 0 to 2"):
        choose_face(FACES, index)


def test_missing_detector_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"yunet\.onnx: the face detector's file does not exist"):
        FaceDetector(tmp_path / "yunet.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network" * 50])
def test_other_file_as_detector(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a YuNet face detector"):
        FaceDetector(path)


@pytest.fixture(scope="module")
def yunet() -> FaceDetector:
    path = os.environ.get("MEGACTOR_YUNET")
    if path is None:
        pytest.skip("MEGACTOR_YUNET, the path of the YuNet file, is not given")
    return FaceDetector(path)


def test_yunet_finds_a_face_at_every_size(yunet: FaceDetector) -> None:
    found = 0
    for size in (64, 128, 256, 1024):
        pair = clip_pair(3, 0, 1, size)
        faces = yunet.detect(pair.driver_frames[0])
        assert len(faces) <= 1
        if faces:
            left, top, right, bottom = pair.driver_boxes[0]
            x, y = faces[0].center
            assert left < x < right and top < y < bottom
            assert (faces[0].points[:, 0] > left).all() and (faces[0].points[:, 0] < right).all()
            found += 1
    assert found >= 3


@pytest.mark.parametrize("height, width", [(1, 1), (20, 640), (900, 40), (128, 128)])
def test_yunet_reports_no_face_where_none_is(yunet: FaceDetector, height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert yunet.detect(noise) == ()
    assert yunet.detect(np.full_like(noise, 90)) == ()


def test_yunet_boxes_stay_inside_the_picture(yunet: FaceDetector) -> None:
    pair = clip_pair(3, 0, 1, 256)
    left, _, right, _ = pair.driver_boxes[0].astype(int)
    cut = np.ascontiguousarray(pair.driver_frames[0][:, (left + right) // 2 - (right - left) // 4 :])
    for found in yunet.detect(cut):
        assert found.box[0] >= 0 and found.box[1] >= 0
        assert found.box[2] <= cut.shape[1] and found.box[3] <= cut.shape[0]


def test_yunet_finds_small_faces_of_large_pictures(yunet: FaceDetector) -> None:
    picture = os.environ.get("MEGACTOR_FACE_PICTURE")
    if picture is None:
        pytest.skip("MEGACTOR_FACE_PICTURE, the path of a picture with a face, is not given")
    image = load_picture(Path(picture))
    (alone,) = yunet.detect(image)
    assert [face.box for face in yunet.detect_all(image)] == [alone.box]
    left, top, right, bottom = alone.box
    around = [int(side) for side in (top - 80, bottom + 60, left - 80, right + 80)]
    head = image[max(0, around[0]) : around[1], max(0, around[2]) : around[3]]
    group = np.full((2250, 3000, 3), 110, np.uint8)
    for index, height in enumerate((45, 45, 45, 450, 45)):
        scale = height / (bottom - top)
        small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x = 100 + 600 * index
        group[900 : 900 + small.shape[0], x : x + small.shape[1]] = small
    found = yunet.detect_all(group)
    assert sorted(int(face.center[0]) // 600 for face in found) == [0, 1, 2, 3, 4]
    assert choose_face(found, 4).center[0] > 2400
    only_small = np.delete(group, np.s_[1800:2400], axis=1)
    assert len(yunet.detect(only_small)) == 4
