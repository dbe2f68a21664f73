"""The core's look at the portrait, with what is linked to a node."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor

from ...megactor_core.animation.options import CropOptions
from ...megactor_core.models.config import ModelConfig
from ...megactor_core.vision.crops import checked_size
from ...megactor_core.vision.portrait import Portrait, all_faces, segment_reference
from .faces import check_faces, find_detector, known_faces
from .images import only_picture
from .people import find_segmenter, person_mask


def preprocess_portrait(
    config: ModelConfig,
    image: Tensor,
    *,
    crops: CropOptions,
    size: int | None,
    mask: Tensor | None,
    bounding_boxes: Any,
    face_landmarks: Any,
) -> Portrait:
    """The portrait as the networks will see it.

    Args:
        config: of the model.
        image: IMAGE of one picture.
        crops: the square of the picture, and which face.
        size: side of the square in pixels; None for the model's own.
        mask, bounding_boxes, face_landmarks: MASK, BOUNDING_BOX, FACE_LANDMARKS of the picture, or None.

    Raises:
        InputError: anything given that cannot be used, or crop face without a face.
    """
    picture = only_picture(image, "image")
    known = known_faces(bounding_boxes, face_landmarks, picture.shape[:2], 1)
    detector = None if known else find_detector()
    check_faces(crops.crop, known, detector)
    side = checked_size(size or config.defaults.size)
    faces = known[0] if known else all_faces(picture, detector)
    portrait = segment_reference(
        picture,
        side,
        crop=crops.crop,
        face=crops.face,
        mask=person_mask(mask, picture.shape[:2], faces, crops.face),
        faces=faces,
        detector=detector,
        segmenter=find_segmenter(),
        antialias=config.antialiased_crops,
        framing=config.framing,
    )
    if portrait.report:
        logging.info("Segment Reference: %s", portrait.report)
    return portrait
