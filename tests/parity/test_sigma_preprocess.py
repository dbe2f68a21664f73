"""MegActor-Sigma's crops and driving conditions have the numbers of its public inference code."""

from __future__ import annotations

import numpy as np
import pytest
from formula import Case

from megactor_core.vision.crops import Crop, face_area_ratios
from megactor_core.vision.head_crop import head_crop, head_rectangle
from megactor_core.vision.modes.eyes import grown_box, region_plan
from megactor_core.vision.modes.patches import patch_box, patch_condition
from megactor_core.vision.tracking import fill_lost


def scripted(frames: list[list[list[float]]]) -> np.ndarray:
    """The first face of every frame; frames without one repeat the last."""
    return fill_lost([tuple(boxes[0]) if boxes else None for boxes in frames], "hold")


@pytest.mark.golden_case("crop_xpose", family="megactor_sigma")
def test_crop_around_the_head_and_patches(case: Case) -> None:
    outputs = {}
    for index, clip in enumerate(case.config["clips"]):
        pixels = case.input(f"pixels{index}").numpy().transpose(0, 2, 3, 1)
        source_size, boxes = pixels.shape[1:3], scripted(clip["faces"])
        outputs[f"rects{index}"] = boxes
        crop = head_crop(boxes, source_size, clip["size"][0])
        cropped = np.stack([crop.apply(image) for image in pixels])
        outputs[f"crop{index}"] = cropped.transpose(0, 3, 1, 2)
        rectangle = head_rectangle(boxes, source_size)
        outputs[f"area_ratio{index}"] = face_area_ratios(rectangle, source_size)[0]
    grown = [grown_box(tuple(row[:4]), row[4], row[5]) for row in case.config["patch_args"]]
    around = [patch_box(*row) for row in case.config["patch_div_args"]]
    for name, patches in (("get_patch", grown), ("get_patch_div", around)):
        outputs[name] = np.array([(left, right, top, bottom) for left, top, right, bottom in patches])
    case.check_all(outputs)


@pytest.mark.golden_case("driving_conditions", family="megactor_sigma")
def test_painted_driving_frames(case: Case) -> None:
    config, size = case.config, case.config["size"]
    picture, first = case.input("reference").numpy(), case.input("driving_frame0").numpy()

    def crop_of(boxes: list, image: np.ndarray) -> Crop:
        return head_crop(scripted(boxes), image.shape[:2], size)

    reference = crop_of([config["box_reference"]], picture).apply(picture)
    outputs = {"reference_crop": reference.transpose(2, 0, 1)}
    crop = crop_of(config["boxes_driving"], first)
    frames = [crop.apply(np.roll(first, 2 * i, axis=1)) for i in range(config["frames"])]
    driver, target = case.input("lm_driving").numpy()[:, 0], case.input("lm_reference").numpy()[0]
    for mode, options in config["modes"].items():
        plan = region_plan(
            driver,
            target,
            size,
            shown=("eyes",) if options["mouthless"] else ("eyes", "mouth"),
            fixed=options.get("fix", False),
        )
        painted = [patch_condition(frame, plan, index=index) for index, frame in enumerate(frames)]
        outputs[f"condition.{mode}"] = np.stack(painted)
    case.check_all(outputs)
