"""Segment Reference: what is cut out of the picture, by which face, and what it says where it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import pytest
import torch
from face_values import bounding_box, face_landmarks
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.puppets.clips import clip_pair
from megactor_pack.megactor_core.vision.foreground import background_image
from megactor_pack.megactor_core.vision.portrait import segment_reference
from megactor_pack.nodes.animate_portrait import AnimatePortrait
from megactor_pack.nodes.host.images import to_image, to_pixels
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.segment_reference import SegmentReference
from PIL import Image
from tiny_model import portrait_image
from torch import Tensor

DETECTOR = os.environ.get("MEGACTOR_YUNET")
SEGMENTER = os.environ.get("MEGACTOR_PERSON_SEGMENTER")
PICTURE = portrait_image(80, 96)
WHOLE = (8, 0, 88, 80)
LEFT_RIM = torch.zeros(1, 80, 96)
LEFT_RIM[:, 40:, :6] = 1
RIGHT_PART = torch.zeros(1, 80, 96)
RIGHT_PART[:, 40:, 60:] = 1
FACE, AROUND_FACE = (30.0, 20.0, 50.0, 44.0), (8, 0, 72, 64)


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``models/megactor`` and the host's folder of temporary files."""
    folder = tmp_path / "megactor"
    folder.mkdir()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "megactor", ([str(folder)], {".ckpt"}))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    return folder


def segment(model: PortraitModel, image: Tensor | None = None, **inputs: Any) -> Any:
    widgets = {"crop": "auto", "face": -1, "size": 0}
    image = to_image(PICTURE) if image is None else image
    return SegmentReference.execute(model=model, image=image, **{**widgets, **inputs})


def box(model: PortraitModel, **inputs: Any) -> tuple[int, ...]:
    return segment(model, **inputs).args[3].box


def test_what_comes_out_is_what_the_core_makes(model: PortraitModel) -> None:
    portrait, foreground, background, crop = segment(model, crop="whole").args
    expected = segment_reference(PICTURE, model.size, crop="whole")
    assert np.array_equal(to_pixels(portrait).astype(np.uint8), expected.picture)
    assert np.abs(to_pixels(portrait) - expected.pixels).max() < 1e-4
    assert np.array_equal(foreground[0].numpy(), expected.foreground)
    dark = background_image(expected.picture, expected.foreground)
    assert np.array_equal(to_pixels(background), dark)
    assert crop == expected.crop


def test_it_shows_the_square_and_the_person(model: PortraitModel) -> None:
    shown = segment(model, bounding_box=bounding_box(FACE)).ui.as_dict()["images"]
    picture = Image.open(Path(folder_paths.get_temp_directory()) / shown[0]["filename"])
    assert picture.size == (384 + 4 + 320, 320)


def test_faces_come_from_boxes_then_landmarks(model: PortraitModel) -> None:
    landmarks = face_landmarks([[(30, 36, 50, 60)]], (80, 96))
    assert box(model) == WHOLE
    assert box(model, bounding_box=bounding_box(FACE), face_landmarks=landmarks) == AROUND_FACE
    assert box(model, bounding_box=[], face_landmarks=landmarks) == (8, 16, 72, 80)
    assert box(model, crop="face", face_landmarks=landmarks) == (8, 16, 72, 80)
    assert box(model, crop="whole", bounding_box=bounding_box(FACE)) == WHOLE


def test_which_of_several_faces(model: PortraitModel) -> None:
    boxes = [[bounding_box((60, 20, 90, 60)), bounding_box((10, 30, 20, 40))]]
    assert box(model, bounding_box=boxes) == (54, 19, 96, 61)
    assert box(model, bounding_box=boxes, face=0) == (0, 20, 30, 50)
    with pytest.raises(InputError, match="face 2: only 2 faces were found"):
        segment(model, bounding_box=boxes, face=2)


def test_a_given_mask_is_the_person(model: PortraitModel) -> None:
    mask = torch.zeros(1, 80, 96)
    mask[:, 20:60, 30:60] = 1
    _, foreground, background, _ = segment(model, crop="whole", mask=mask).args
    assert (foreground > 0.5).float().mean() == pytest.approx(30 * 40 / 80**2, abs=0.02)
    assert (background[0][foreground[0] >= 0.5] == 0).all()


@pytest.mark.parametrize("mask", [torch.zeros(1, 64, 64), torch.zeros(2, 64, 64), torch.zeros(1, 80, 96)])
def test_load_images_mask_of_an_opaque_picture_is_no_mask(model: PortraitModel, mask: Tensor) -> None:
    without, given = segment(model).args, segment(model, mask=mask).args
    assert torch.equal(without[1], given[1])


@pytest.mark.parametrize("boxes", [None, bounding_box(FACE)])
def test_load_images_mask_of_a_cut_out_is_inverted(model: PortraitModel, boxes: Any) -> None:
    person = torch.zeros(1, 80, 96)
    person[:, 16:64, 26:60] = 1
    person[:, 60:, 10:90] = 1
    inputs = {"crop": "whole", "bounding_box": boxes}
    foreground = segment(model, mask=person, **inputs).args[1]
    assert torch.equal(segment(model, mask=1 - person, **inputs).args[1], foreground)
    # A face in a corner: only one of the upper corners is free.
    corner = bounding_box((0.0, 0.0, 30.0, 30.0))
    person = torch.zeros(1, 80, 96)
    person[:, :, :40] = 1
    inputs = {"crop": "whole", "bounding_box": corner}
    foreground = segment(model, mask=person, **inputs).args[1]
    assert torch.equal(segment(model, mask=1 - person, **inputs).args[1], foreground)


def test_a_mask_of_the_pictures_shape_is_scaled(model: PortraitModel) -> None:
    mask = torch.zeros(1, 80, 96)
    mask[:, 20:60, 30:60] = 1
    large = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    foregrounds = [segment(model, crop="whole", mask=given).args[1] > 0.5 for given in (mask, large)]
    assert torch.equal(*foregrounds)


def test_size_is_the_models_or_the_users(model: PortraitModel) -> None:
    assert segment(model).args[0].shape == (1, model.size, model.size, 3)
    assert segment(model, size=96).args[0].shape == (1, 96, 96, 3)
    with pytest.raises(InputError, match="size 8: must be a multiple of 8 and at least 64"):
        segment(model, size=8)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image": torch.zeros(2, 80, 96, 3)}, "image: is a batch of 2 pictures"),
        ({"crop": "face"}, r"crop face: nothing tells where the face is\. Link face_landmarks or boxes"),
        ({"crop": "face", "bounding_box": [[]]}, "crop face: nothing tells where the face is"),
        ({"mask": torch.ones(1, 64, 64)}, "mask of 64x64: the picture is 96x80"),
        ({"mask": torch.zeros(1, 8, 8)}, "mask of 8x8: the picture is 96x80"),
        ({"mask": LEFT_RIM}, "mask: no part of the crop is marked as the person"),
        (
            {"mask": RIGHT_PART, "bounding_box": bounding_box(FACE), "crop": "whole"},
            "mask: marks nothing of the chosen face at 30,20,50,44",
        ),
        ({"face_landmarks": face_landmarks([[FACE]], (64, 64))}, "they are of a 64x64 picture"),
    ],
)
def test_what_cannot_be_used_is_said(model: PortraitModel, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment(model, **inputs)


@pytest.mark.skipif(DETECTOR is None, reason="MEGACTOR_YUNET, the path of the YuNet file, is not given")
def test_the_packs_detector_is_used_once_it_is_there(model: PortraitModel, models_folder: Path) -> None:
    assert DETECTOR is not None
    image = to_image(clip_pair(3, 0, 1, 256).driver_frames[0])
    before = SegmentReference.fingerprint_inputs()
    whole = box(model, image=image)
    shutil.copy(DETECTOR, models_folder / "face_detection_yunet_2023mar.onnx")
    assert SegmentReference.fingerprint_inputs() != before
    around = box(model, image=image)
    assert around == box(model, image=image, crop="face") != whole


@pytest.mark.skipif(SEGMENTER is None, reason="MEGACTOR_PERSON_SEGMENTER, the file's path, is not given")
def test_the_packs_segmenter_is_used_once_it_is_there(model: PortraitModel, models_folder: Path) -> None:
    assert SEGMENTER is not None
    image = to_image(clip_pair(1, 1, 1, 128).driver_frames[0])
    before, colours = SegmentReference.fingerprint_inputs(), segment(model, image=image).args[1]
    assert AnimatePortrait.fingerprint_inputs() == before
    shutil.copy(SEGMENTER, models_folder / "selfie_segmentation.tflite")
    assert SegmentReference.fingerprint_inputs() != before != AnimatePortrait.fingerprint_inputs()
    assert not torch.equal(segment(model, image=image).args[1], colours)
    (models_folder / "selfie_segmentation.tflite").write_bytes(b"something else")
    with pytest.raises(InputError, match="not a person segmenter"):
        segment(model, image=image)
