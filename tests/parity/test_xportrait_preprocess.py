"""X-Portrait's squash, alignment and patches against the golden data."""

from __future__ import annotations

import numpy as np
import pytest
from formula import Case

from megactor_core.vision.face_patches import (
    LANDMARK_SIZE,
    align,
    alignment,
    choose_best_frame,
    keep_patches,
    patch_boxes,
)
from megactor_core.vision.squash import squash

SIZE = 512


@pytest.mark.golden_case("preprocess", family="xportrait")
def test_preprocessing_gives_the_reference_numbers(case: Case) -> None:
    config = case.config
    scale = SIZE / LANDMARK_SIZE
    portrait, driver = case.input("lm_source").numpy() * scale, case.input("lm_driving").numpy() * scale
    best = choose_best_frame("auto", portrait, list(driver))
    assert best is not None
    affine = alignment(driver[best], portrait)
    outputs = {"best_frame": np.array(best), "affine_512_driving_to_source": affine}

    frame = config["local_frame"]
    plain = squash(case.input("driving")[frame].numpy(), SIZE)
    aligned = align(plain, affine)
    boxes = patch_boxes(driver[frame], SIZE)
    local = keep_patches(aligned, boxes)
    (top, left), stride = config["block"], config["stride"]
    for name, picture in (("plain_resize", plain), ("aligned", aligned)):
        height, width = case.spec["outputs"][f"{name}_block"]["shape"][:2]
        outputs[f"{name}_strided"] = picture[::stride, ::stride]
        outputs[f"{name}_block"] = picture[top : top + height, left : left + width]
    outputs["local_strided"] = (local * 2 - 1)[::stride, ::stride].transpose(2, 0, 1)
    shown = keep_patches(np.ones_like(plain), boxes)[..., 0].astype(np.uint8)
    outputs["local_patch_rows"] = shown.max(axis=1)
    outputs["local_patch_columns"] = shown.max(axis=0)
    outputs["local_patch_pixel_count"] = shown.sum().astype(np.int64)
    case.check_all(outputs)
