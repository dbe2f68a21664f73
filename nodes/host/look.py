"""The core's look at portrait and driver, with what is linked to a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...megactor_core.errors import InputError
from ...megactor_core.media.contact_sheet import picture_rows, sheet_indices
from ...megactor_core.media.source import DrivingSource
from ...megactor_core.models.config import ModelConfig
from ...megactor_core.vision.crops import checked_size
from ...megactor_core.vision.driving import DrivingMode, PreparedDriving, prepare_driving
from ...megactor_core.vision.portrait import Portrait, segment_reference
from ...megactor_core.vision.tracking import LostPolicy
from .faces import check_faces, face_choice, find_detector, known_faces, landmarks_of_square
from .images import only_mask, only_picture
from .progress import NodeProgress

Crop = Literal["auto", "face", "whole"]

# A node is about as wide as high, and so should be what it shows.
_STRIP_COLUMNS = 4


def look_at_portrait(
    config: ModelConfig,
    image: Tensor,
    *,
    crop: Crop,
    face: int,
    size: int,
    mask: Tensor | None,
    bounding_boxes: Any,
    face_landmarks: Any,
) -> Portrait:
    """The portrait as the networks will see it.

    Args:
        config: of the model.
        image: IMAGE of one picture.
        crop: of the picture.
        face: -1 for the largest, else counted from the left.
        size: side of the square in pixels; 0 for the model's own.
        mask, bounding_boxes, face_landmarks: MASK, BOUNDING_BOX, FACE_LANDMARKS of the picture, or None.

    Raises:
        InputError: anything given that cannot be used, or crop face without a face.
    """
    picture = only_picture(image, "image")
    known = known_faces(bounding_boxes, face_landmarks, picture.shape[:2], 1)
    detector = None if known else find_detector()
    check_faces(crop, known, detector)
    return segment_reference(
        picture,
        checked_size(size or config.defaults.size),
        crop=crop,
        face=face_choice(face),
        mask=None if mask is None else only_mask(mask, "mask"),
        faces=known[0] if known else (),
        detector=detector,
        antialias=config.antialiased_crops,
        framing=config.framing,
    )


@dataclass(frozen=True, eq=False)
class DriverLook:
    """What was taken of a driver.

    Attributes:
        prepared: what is shown to the model of every frame.
        report: the frames used, and what became of the face.
        condition: IMAGE of that, grey, ``(frames, size, size, 3)``.
        strip: some of the frames above their conditions, uint8 RGB.
    """

    prepared: PreparedDriving
    report: str
    condition: Tensor
    strip: NDArray[np.uint8]


def look_at_driver(
    config: ModelConfig,
    source: DrivingSource,
    *,
    crop: Crop,
    mode: DrivingMode,
    lost_face: LostPolicy,
    start_frame: int,
    max_frames: int,
    face: int,
    smoothing: float,
    size: int,
    bounding_boxes: Any,
    face_landmarks: Any,
    portrait_landmarks: Any,
) -> DriverLook:
    """The driver's frames as conditions; only these are kept of them.

    Args:
        config: of the model.
        source: of the frames.
        crop: of every frame.
        mode, lost_face, smoothing: see ``vision.driving.prepare_driving``.
        start_frame, max_frames: the frames to use; 0 frames are all.
        face: -1 for the largest, else counted from the left.
        size: side of the square in pixels; 0 for the model's own.
        bounding_boxes, face_landmarks: BOUNDING_BOX, FACE_LANDMARKS of all frames of ``source``, or None.
        portrait_landmarks: FACE_LANDMARKS of the portrait's square, or None.

    Raises:
        InputError: anything given that cannot be used, or crop face without a face.
        InterruptProcessingException: the user has cancelled.
    """
    if mode == "contour" and face_landmarks is None:
        raise InputError(
            "mode contour",
            "needs the driver's face landmarks",
            "Link face_landmarks from Detect Face Landmarks, or choose the mode plain",
        )
    size = checked_size(size or config.defaults.size)
    known = known_faces(
        bounding_boxes,
        face_landmarks,
        (source.height, source.width),
        source.num_frames,
        landmarks_first=mode == "contour",
    )
    detector = None if known else find_detector()
    check_faces(crop, known, detector)
    stop = start_frame + max_frames if max_frames else None
    num_frames = source.part(start_frame, stop).num_frames
    progress = NodeProgress(num_frames if detector is None else 2 * num_frames)
    prepared = prepare_driving(
        source,
        size,
        crop=crop,
        mode=mode,
        face=face_choice(face),
        lost=lost_face,
        smoothing=smoothing,
        start=start_frame,
        stop=stop,
        faces=known,
        portrait_landmarks=landmarks_of_square(portrait_landmarks, size),
        detector=detector,
        antialias=config.antialiased_crops,
        framing=config.framing,
        on_frame=progress.report,
    )
    condition = torch.empty((num_frames, size, size), device=comfy.model_management.intermediate_device())
    shown = sheet_indices(num_frames)
    squares, conditions = [], []
    for index, cropped in enumerate(prepared.crops()):
        grey = prepared.condition(index, cropped)
        condition[index] = torch.from_numpy(grey) / 255
        if index in shown:
            squares.append(cropped.astype(np.uint8))
            conditions.append(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8))
        progress.report((0 if detector is None else num_frames) + index + 1)
    # three channels that share their memory
    pictures = condition[..., None].expand(-1, -1, -1, 3)
    report = f"{_frames_used(source, prepared.source, start_frame)}\n{prepared.report}".rstrip()
    begins = range(0, len(squares), _STRIP_COLUMNS)
    parts = [slice(begin, begin + _STRIP_COLUMNS) for begin in begins]
    strip = picture_rows(*(row[part] for part in parts for row in (squares, conditions)))
    return DriverLook(prepared, report, pictures, strip)


def _frames_used(source: DrivingSource, used: DrivingSource, start_frame: int) -> str:
    text = f"{used.num_frames} frames of {used.width}x{used.height}, {float(used.frame_rate):.5g} a second"
    if used.num_frames < source.num_frames:
        text += f", from frame {start_frame} of {source.num_frames} on, which counts as frame 0"
    return text
