"""Faces that the host's nodes or the pack's own detector have found, as the core's faces."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import folder_paths
import numpy as np
from numpy.typing import NDArray

from ...megactor_core.errors import InputError
from ...megactor_core.vision.faces import Face, FaceDetector, choose_face
from ...megactor_core.vision.modes.mode import DrivingMode
from ...megactor_core.vision.portrait import CropMode
from ...megactor_core.weights.catalogue import find_known
from .model_files import FOLDER

FrameFaces = list[tuple[Face, ...]]
"""The faces of each frame."""


def known_faces(
    bounding_boxes: Any,
    face_landmarks: Mapping[str, Any] | None,
    frame_size: tuple[int, int],
    num_frames: int,
    *,
    landmarks_first: bool = False,
) -> FrameFaces | None:
    """The faces that are linked to a node: from the boxes, or where they hold none, from the landmarks.

    Args:
        bounding_boxes: BOUNDING_BOX or None.
        face_landmarks: FACE_LANDMARKS or None.
        frame_size: (height, width) of the frames.
        num_frames: how many there are.
        landmarks_first: the other way round, for faces that should come with landmarks.

    Returns:
        None where no frame has a face.

    Raises:
        InputError: boxes or landmarks of another number of frames or another size.
    """
    sources = [
        faces_of_boxes(bounding_boxes, frame_size, num_frames),
        faces_of_landmarks(face_landmarks, frame_size, num_frames),
    ]
    for faces in reversed(sources) if landmarks_first else sources:
        if any(faces):
            return faces
    return None


def faces_of_boxes(bounding_boxes: Any, frame_size: tuple[int, int], num_frames: int) -> FrameFaces:
    """BOUNDING_BOX as the host's nodes give it: a box, a list of boxes, or a list of boxes per frame.

    What is of one frame only holds for all of them.

    Raises:
        InputError: a list of another number of frames.
    """
    if bounding_boxes is None:
        return []
    if isinstance(bounding_boxes, Mapping):
        bounding_boxes = [bounding_boxes]
    if not bounding_boxes or isinstance(bounding_boxes[0], Mapping):
        bounding_boxes = [bounding_boxes]
    if len(bounding_boxes) == 1:
        bounding_boxes = bounding_boxes * num_frames
    _check_count(bounding_boxes, num_frames, "bounding boxes")
    frames: FrameFaces = []
    for boxes in bounding_boxes:
        faces = []
        for box in boxes:
            corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            faces.append(_face(corners, frame_size, box.get("score", 1.0)))
        frames.append(tuple(face for face in faces if face is not None))
    return frames


def faces_of_landmarks(
    face_landmarks: Mapping[str, Any] | None, frame_size: tuple[int, int], num_frames: int
) -> FrameFaces:
    """FACE_LANDMARKS of the host's Detect Face Landmarks, with the box around them.

    Raises:
        InputError: another number of frames, or pictures of another size.
    """
    if face_landmarks is None:
        return []
    height, width = face_landmarks["image_size"]
    if (height, width) != frame_size:
        raise InputError(
            "face_landmarks",
            f"they are of a {width}x{height} picture, the frames are {frame_size[1]}x{frame_size[0]}",
            "Detect them on the very pictures that this node gets",
        )
    _check_count(face_landmarks["frames"], num_frames, "face_landmarks")
    frames: FrameFaces = []
    for several in face_landmarks["frames"]:
        faces = []
        for one in several:
            points = np.asarray(one["landmarks_xy"], np.float32)
            faces.append(_face(one["bbox_xyxy"], frame_size, one["score"], points))
        frames.append(tuple(face for face in faces if face is not None))
    return frames


def landmarks_of_square(face_landmarks: Mapping[str, Any] | None, size: int) -> NDArray[np.float32] | None:
    """Landmarks of the largest face of a square portrait, (478, 2) in pixels of a square of ``size``.

    Args:
        face_landmarks: FACE_LANDMARKS of the portrait that Segment Reference gives, or None.
        size: side of the square in pixels.

    Raises:
        InputError: of another picture than that, or without a face.
    """
    if face_landmarks is None:
        return None
    height, width = face_landmarks["image_size"]
    remedy = "Detect them on the portrait that Segment Reference gives"
    if height != width:
        raise InputError(
            "portrait_landmarks", f"they are of a {width}x{height} picture, not of a square", remedy
        )
    faces = faces_of_landmarks(face_landmarks, (height, width), 1)[0]
    if not faces:
        raise InputError("portrait_landmarks", "no face was found in the portrait", remedy)
    landmarks = choose_face(faces).landmarks
    assert landmarks is not None, "faces of landmarks carry them"
    return landmarks * np.float32(size / width)


def find_detector() -> FaceDetector | None:
    """The pack's own face detector, None where its file is not in the models folder."""
    path = _detector_file()
    return None if path is None else FaceDetector(path)


def detector_stamp() -> tuple[str, float] | None:
    """Path and time of the detector's file: another one, or one that is new, is another input."""
    path = _detector_file()
    return None if path is None else (path, os.path.getmtime(path))


def check_landmarks(
    mode: DrivingMode, face_landmarks: Mapping[str, Any] | None, detector: FaceDetector | None
) -> None:
    """Refuse to show patches of a driver's face without any means to find them.

    Args:
        mode: what is shown of the driver.
        face_landmarks: FACE_LANDMARKS of the driver, or None.
        detector: tells well enough where eyes and mouth are, but for modes that need exact landmarks.

    Raises:
        InputError: patches without landmarks and detector.
    """
    link = "Link face_landmarks from Detect Face Landmarks"
    if mode.landmarks == "exact" and face_landmarks is None:
        remedy = f"{link}, or choose the mode plain"
        raise InputError(f"mode {mode.name}", "needs the driver's face landmarks", remedy)
    if mode.needs_face and face_landmarks is None and detector is None:
        file = find_known("face-detector")[0]
        remedy = f"{link} to Prepare Driving, or put {file.file} ({file.address}) into models/{FOLDER}"
        raise InputError(f"mode {mode.name}", "nothing tells where the driver's eyes are", remedy)


def check_faces(crop: CropMode, known: FrameFaces | None, detector: FaceDetector | None) -> None:
    """Refuse to look for a face without any means to find one.

    Raises:
        InputError: crop ``"face"`` without known faces and without the detector.
    """
    if crop == "face" and known is None and detector is None:
        file = find_known("face-detector")[0]
        raise InputError(
            "crop face",
            "nothing tells where the face is",
            f"Link face_landmarks or boxes that hold a face, put {file.file} ({file.address}) into "
            f"models/{FOLDER}, or choose whole",
        )


def _detector_file() -> str | None:
    return folder_paths.get_full_path(FOLDER, find_known("face-detector")[0].file)


def _check_count(items: Sequence[Any], num_frames: int, name: str) -> None:
    if len(items) != num_frames:
        raise InputError(
            name,
            f"they are of {len(items)} frames, this node gets {num_frames}",
            "Detect them on the very frames that this node gets",
        )


def _face(
    corners: Sequence[float],
    frame_size: tuple[int, int],
    score: float,
    landmarks: NDArray[np.float32] | None = None,
) -> Face | None:
    """A face with its box cut at the picture's border; None where nothing is left of it."""
    height, width = frame_size
    left, right = (min(max(float(x), 0.0), width) for x in corners[::2])
    top, bottom = (min(max(float(y), 0.0), height) for y in corners[1::2])
    if right <= left or bottom <= top:
        return None
    return Face((left, top, right, bottom), float(score), landmarks=landmarks)
