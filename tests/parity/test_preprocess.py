"""Crops, driving conditions and background of MegActor's inference against the golden data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from formula import Case
from numpy.typing import NDArray

from megactor_core.vision.crops import face_area_ratios, face_crop
from megactor_core.vision.foreground import background_image
from megactor_core.vision.modes.contour import contour_plan
from megactor_core.vision.modes.patches import patch_box, patch_condition
from megactor_core.vision.modes.plain import plain_boxes, plain_condition
from megactor_core.vision.tracking import fill_lost

PRECISIONS = {"fp32": np.float32, "fp16": np.float16}
# The reference drops a driver's last frame and then keeps this many.
MOST_FRAMES = 50


def first_detections(rows: list[Any], num_frames: int) -> list[tuple[float, ...] | None]:
    """The first rectangle of each frame, as the scripted detector of the golden run lists them."""
    first: dict[int, tuple[float, ...]] = {}
    for index, box in rows:
        first.setdefault(index, tuple(box))
    return [first.get(index) for index in range(num_frames)]


def preprocess(case: Case) -> dict[str, NDArray[Any]]:
    config = case.config
    size = config["size"]
    count = min(config["frames"] - 1, MOST_FRAMES)
    first_frame, reference = case.input("driving_frame0").numpy(), case.input("reference").numpy()
    outputs: dict[str, NDArray[Any]] = {}

    boxes = fill_lost(first_detections(config["rects_driving"], count), "hold")
    crop = face_crop(boxes, first_frame.shape[:2], size)
    crops = [crop.apply(np.roll(first_frame, 3 * index, axis=1)) for index in range(count)]
    left, top, right, bottom = crop.box
    outputs["driving_crop_box_top_bottom_left_right"] = np.array([top, bottom, left, right])
    outputs["driving_crop"] = np.stack(crops).transpose(0, 3, 1, 2)
    outputs["min_face_ratio"] = face_area_ratios(boxes, first_frame.shape[:2]).min()

    reference_boxes = fill_lost(first_detections(config["rects_reference"], 1), "hold")
    reference_crop = face_crop(reference_boxes, reference.shape[:2], size).apply(reference)
    background = np.zeros((size, size), np.float32)
    background[: size // 3] = 1
    background[:, 3 * size // 4 :] = 1
    outputs["background_image"] = background_image(reference_crop, 1 - background).transpose(2, 0, 1)

    seen = first_detections(config["rects_cropped"], count)
    kept = plain_boxes(fill_lost(seen, "hold"), size, [box is not None for box in seen])
    plan = contour_plan(case.input("lm_drv").numpy() * size, case.input("lm_ref").numpy() * size, size)
    for name, dtype in PRECISIONS.items():
        outputs[f"reference_crop.{name}"] = reference_crop.transpose(2, 0, 1)
        outputs[f"plain.condition.{name}"] = np.stack(
            [plain_condition(image, box, dtype) for image, box in zip(crops, kept, strict=True)]
        )
        outputs[f"contour.condition.{name}"] = np.stack(
            [patch_condition(image, plan, dtype) for image in crops]
        )

    patches = [patch_box(*arguments) for arguments in config["patch_div_args"]]
    outputs["patch_div"] = np.array([(left, right, top, bottom) for left, top, right, bottom in patches])
    return outputs


@pytest.mark.golden_case("preprocess")
def test_preprocessing_gives_the_reference_numbers(case: Case) -> None:
    case.check_all(preprocess(case))
