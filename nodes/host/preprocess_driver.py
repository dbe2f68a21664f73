"""The core's look at the driver, with what is linked to a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...megactor_core.animation.checks import (
    check_best_frame,
    check_fixed_patches,
    check_motion,
    checked_mode,
)
from ...megactor_core.animation.clip import Clip
from ...megactor_core.animation.options import CropOptions, DrivingOptions, FrameOptions
from ...megactor_core.media.contact_sheet import picture_rows, sheet_indices
from ...megactor_core.media.source import DrivingSource
from ...megactor_core.models.config import ModelConfig
from ...megactor_core.motion import Liveliness, Motion
from ...megactor_core.vision.coarse_landmarks import CoarseLandmarker
from ...megactor_core.vision.crops import checked_size, squashed_crop
from ...megactor_core.vision.driving import PreparedDriving, prepare_driving
from ...megactor_core.vision.faces import FaceDetector
from ...megactor_core.vision.modes.hints import FACE, PATCHES
from ...megactor_core.vision.modes.mode import GREY
from ...megactor_core.vision.modes.registry import MODES
from ...megactor_core.vision.still import still_driving
from .faces import check_faces, check_landmarks, find_detector, known_faces, landmarks_of_square
from .images import only_picture
from .progress import NodeProgress

# A node is about as wide as high, and so should be what it shows.
_STRIP_COLUMNS = 4


@dataclass(frozen=True)
class DriverOptions:
    """Options of Prepare Driving.

    Attributes:
        crops: the square of every frame, and whose face.
        driving: what is shown of a frame.
        frames: the frames to use.
        size: side of the square in pixels; None for the model's own.
        motion: amplitudes.
        seed: of blinking and swaying without a driver.
    """

    crops: CropOptions
    driving: DrivingOptions
    frames: FrameOptions
    size: int | None
    motion: Motion
    seed: int


@dataclass(frozen=True)
class LinkedFaces:
    """BOUNDING_BOX and FACE_LANDMARKS of a driver, and FACE_LANDMARKS of the portrait's square, or None."""

    bounding_boxes: Any = None
    face_landmarks: Any = None
    portrait_landmarks: Any = None


@dataclass(frozen=True, eq=False)
class PreprocessedDriver:
    """Result of preparing a driver.

    Attributes:
        prepared: what is shown to the model of every frame.
        report: the frames used, and what became of the face.
        condition: IMAGE of that, ``(frames, size, size, 3)``: grey, or in colour for ControlNets.
        patches: IMAGE of the eyes and mouth for ControlNets, else None.
        strip: some of the frames above their conditions, uint8 RGB.
    """

    prepared: PreparedDriving
    report: str
    condition: Tensor
    patches: Tensor | None
    strip: NDArray[np.uint8]


def preprocess_driver(
    config: ModelConfig,
    source: DrivingSource,
    options: DriverOptions,
    *,
    linked: LinkedFaces,
    portrait: Tensor | None,
) -> PreprocessedDriver:
    """The driver's frames as conditions; only these are kept of them.

    Args:
        config: of the model.
        source: of the frames.
        options: what is asked for.
        linked: faces that other nodes have found in all frames of ``source``.
        portrait: IMAGE of the portrait's square, with whose face patches are aligned, or None.

    Raises:
        InputError: anything given that cannot be used, or crop face without a face.
        InterruptProcessingException: the user has cancelled.
    """
    asked, frames = options.driving, options.frames
    mode = MODES[checked_mode(config, asked.driving_mode)]
    check_best_frame(config, asked.best_frame)
    if asked.fixed_patches:
        check_fixed_patches(config)
    size = checked_size(options.size or config.defaults.size)
    known = known_faces(
        linked.bounding_boxes,
        linked.face_landmarks,
        (source.height, source.width),
        source.num_frames,
        landmarks_first=mode.landmarks != "none",
    )
    detector = find_detector() if known is None or mode.landmarks == "coarse" else None
    check_faces(options.crops.crop, known, detector)
    check_landmarks(mode, linked.face_landmarks, detector)
    target = landmarks_of_square(linked.portrait_landmarks, size)
    if target is None and portrait is not None and detector is not None and mode.landmarks != "none":
        target = _coarse_landmarks(detector, portrait, size)
    part = source.part(frames.start, frames.stop)
    # What leaves the node has one frame rate.
    even, numbers = part.at_even_times()
    if known is not None:
        known = [known[frames.start + number] for number in numbers.tolist()]
    searched = even.num_frames if known is None and detector is not None else 0
    progress = NodeProgress(searched + even.num_frames)
    prepared = prepare_driving(
        even,
        size,
        crop=options.crops.crop,
        mode=mode.name,
        face=options.crops.face,
        lost=asked.lost,
        smoothing=asked.smoothing,
        best_frame=asked.best_frame,
        fixed_patches=asked.fixed_patches,
        amplitude=options.motion.amplitude,
        faces=known,
        portrait_landmarks=target,
        detector=detector,
        antialias=config.antialiased_crops,
        framing=config.framing,
        on_frame=progress.report,
    )
    used = _frames_used(source, part, frames.start)
    return _shown(prepared, used, lambda done: progress.report(searched + done))


def preprocess_still(
    config: ModelConfig,
    portrait: Tensor,
    clip: Clip,
    options: DriverOptions,
    portrait_landmarks: Any,
) -> PreprocessedDriver:
    """The portrait as its own driver, for sound without a video; see ``vision.still``.

    Args:
        config: of the model.
        portrait: IMAGE of the portrait's square.
        clip: its length and rate.
        options: what is asked for; crop and what belongs to faces has no effect.
        portrait_landmarks: FACE_LANDMARKS of the portrait's square, or None.

    Raises:
        InputError: a model that hears nothing.
    """
    check_motion(config, driving=False, speech=True)
    size = checked_size(options.size or config.defaults.size)
    picture = _square(portrait, size)
    landmarks = landmarks_of_square(portrait_landmarks, size)
    detector = find_detector()
    if landmarks is None and detector is not None:
        landmarks = _coarse_landmarks(detector, portrait, size)
    motion, num_frames = options.motion, clip.num_frames
    sway = motion.amplitude.frames("head_motion", num_frames)
    liveliness = Liveliness(motion.blink, motion.sway, options.seed)
    prepared = still_driving(picture, landmarks, num_frames, clip.frame_rate, liveliness, sway)
    progress = NodeProgress(num_frames)
    return _shown(prepared, f"{num_frames} frames, {float(clip.frame_rate):.5g} a second", progress.report)


def _shown(prepared: PreparedDriving, used: str, on_frame: Callable[[int], None]) -> PreprocessedDriver:
    """The conditions of all frames, and a strip of some."""
    num_frames, size = prepared.num_frames, prepared.crop.size
    device = comfy.model_management.intermediate_device()
    if GREY in prepared.mode.pictures:
        condition, patches = torch.empty((num_frames, size, size), device=device), None
    else:
        condition, patches = torch.empty((2, num_frames, size, size, 3), device=device).unbind()
    shown = sheet_indices(num_frames)
    squares, below = [], []
    for index, cropped in enumerate(prepared.crops()):
        pictures = prepared.plan.pictures(index, cropped)
        if patches is None:
            condition[index] = torch.from_numpy(pictures[GREY]) / 255
            picture = condition[index, ..., None].expand(-1, -1, 3)
        else:
            condition[index] = torch.from_numpy(pictures[FACE]) / 2 + 0.5
            patches[index] = torch.from_numpy(pictures[PATCHES]) / 2 + 0.5
            picture = patches[index]
        if index in shown:
            squares.append(cropped.astype(np.uint8))
            below.append((picture * 255).cpu().numpy().astype(np.uint8))
        on_frame(index + 1)
    if patches is None:
        # three channels that share their memory
        condition = condition[..., None].expand(-1, -1, -1, 3)
    begins = range(0, len(squares), _STRIP_COLUMNS)
    parts = [slice(begin, begin + _STRIP_COLUMNS) for begin in begins]
    strip = picture_rows(*(row[part] for part in parts for row in (squares, below)))
    report = "\n".join(filter(None, (used, prepared.report, *prepared.source.notes)))
    return PreprocessedDriver(prepared, report, condition, patches, strip)


def _square(portrait: Tensor, size: int) -> NDArray[np.uint8]:
    """The portrait's square at the size of the driving frames."""
    picture = only_picture(portrait, "portrait")
    return squashed_crop(picture.shape[:2], size).apply(picture, antialias=True).round().astype(np.uint8)


def _coarse_landmarks(detector: FaceDetector, portrait: Tensor, size: int) -> NDArray[np.floating] | None:
    return CoarseLandmarker(detector)(_square(portrait, size))


def _frames_used(source: DrivingSource, used: DrivingSource, start_frame: int) -> str:
    text = f"{used.num_frames} frames of {used.width}x{used.height}, {float(used.frame_rate):.5g} a second"
    if used.num_frames < source.num_frames:
        text += f", from frame {start_frame} of {source.num_frames} on, which counts as frame 0"
    if used.variable_frame_rate:
        text += "\nunevenly spaced frames: at each of as many even times, the one that is shown then"
    return text
