"""Finds faces in one picture: boxes, scores and five points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

FaceChoice = Literal["largest"] | int | tuple[float, float]
"""Which of several faces: the largest, an index from left to right, or the nearest to a point (x, y)."""

# YuNet knows faces of about 10 to 300 pixels. Larger pictures are shrunk to the first side length; if nothing
# is found, small ones are enlarged to it and close-ups that fill the picture are sought at the smaller ones.
_DETECTION_SIDES = (640, 320, 160)
# Faces smaller than this at the first side are easily missed there. They are sought again in a larger copy,
# in a still picture always.
_SMALL, _SURELY_SEEN = 24, 32
_FRAME_SIDE, _STILL_SIDE = 1280, 1920
# With a side of 32 or less OpenCV 4 reads beyond its feature map and reports faces that are not there.
_SHORTEST_SIDE = 64


@dataclass(frozen=True)
class Face:
    """One face of one picture.

    Attributes:
        box: (left, top, right, bottom) in pixels, inside the picture.
        score: detector's confidence, 0..1.
        points: float32 (5, 2), pixels: right eye, left eye, tip of the nose, right and left corner of the
            mouth (right and left are the person's own); None from detectors that do not tell.
        landmarks: float32 (68 or 478, 2), pixels; None from detectors that do not tell.
    """

    box: Box
    score: float = 1.0
    points: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None

    @property
    def center(self) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> float:
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class Detector(Protocol):
    """Protocol of a face detector: ``detect`` takes uint8 RGB (H, W, 3), returns faces in any order."""

    def detect(self, image: NDArray[np.uint8]) -> tuple[Face, ...]: ...


class FaceDetector:
    """YuNet through ``cv2.FaceDetectorYN`` (OpenCV 4 and 5).

    Args:
        model_path: the detector's ONNX file.
        score_threshold: faces below this confidence, 0..1, are not reported.

    Raises:
        InputError: the file does not exist or is not a YuNet model.

    Source: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023.
    """

    def __init__(self, model_path: str | Path, score_threshold: float = 0.6) -> None:
        path = Path(model_path)
        remedy = "Give the path of face_detection_yunet.onnx"
        if not path.is_file():
            raise InputError(path, "the face detector's file does not exist", remedy)
        # OpenCV 5 warns at every load about its default target; both versions print a parser's complaints.
        logging: Any = getattr(cv2.utils, "logging", cv2)
        log_level = logging.setLogLevel(0)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), score_threshold=score_threshold, nms_threshold=0.3, top_k=500
            )
            # Only a first run tells a YuNet file from any other network.
            self._detector.detect(np.zeros((320, 320, 3), np.uint8))
        except (cv2.error, SystemError) as error:
            raise InputError(path, "not a YuNet face detector", remedy) from error
        finally:
            logging.setLogLevel(log_level)

    def detect(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        """Finds the faces of one frame, uint8 RGB (H, W, 3), the most certain first."""
        faces = self._detect_quickly(image)
        large = max(image.shape[:2]) > _STILL_SIDE
        if any(_side(face) < _SMALL * _shrinkage(image) for face in faces) or (large and not faces):
            return self._with_small(image, faces, _STILL_SIDE if large else _FRAME_SIDE)
        return faces

    def detect_all(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        """All faces of a still picture, which is worth a longer look: small ones beside large ones too."""
        return self._with_small(image, self._detect_quickly(image), _STILL_SIDE)

    def _detect_quickly(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        longest = max(image.shape[:2])
        for side in dict.fromkeys((min(longest, _DETECTION_SIDES[0]), *_DETECTION_SIDES)):
            if faces := self._detect_at(image, side):
                return faces
        return ()

    def _with_small(self, image: NDArray[np.uint8], faces: tuple[Face, ...], side: int) -> tuple[Face, ...]:
        """These faces and small ones of a larger copy of the picture."""
        side = min(side, max(image.shape[:2]))
        if side <= _DETECTION_SIDES[0]:
            return faces
        small = [
            face
            for face in self._detect_at(image, side)
            if _side(face) < _SURELY_SEEN * _shrinkage(image)
            and not any(faces_within([face], other.box) or faces_within([other], face.box) for other in faces)
        ]
        return (*faces, *small)

    def _detect_at(self, image: NDArray[np.uint8], side: int) -> tuple[Face, ...]:
        height, width = image.shape[:2]
        scale = side / max(height, width)
        new_size = (max(1, round(width * scale)), max(1, round(height * scale)))
        resized = cv2.resize(image, new_size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        missing = [max(0, _SHORTEST_SIDE - length) for length in new_size]
        padded = cv2.copyMakeBorder(resized, 0, missing[1], 0, missing[0], cv2.BORDER_CONSTANT)
        self._detector.setInputSize(padded.shape[1::-1])
        _, rows = self._detector.detect(cv2.cvtColor(padded, cv2.COLOR_RGB2BGR))
        if rows is None:
            return ()
        ratio = np.array([width / new_size[0], height / new_size[1]], np.float32)
        limit = np.array([width, height], np.float32)
        faces = []
        for row in rows:
            corners = np.stack([row[:2], row[:2] + row[2:4]]) * ratio
            (left, top), (right, bottom) = np.clip(corners, 0, limit)
            if right > left and bottom > top:
                points = (row[4:14].reshape(5, 2) * ratio).astype(np.float32)
                faces.append(
                    Face((float(left), float(top), float(right), float(bottom)), float(row[14]), points)
                )
        return tuple(faces)


def _side(face: Face) -> float:
    left, top, right, bottom = face.box
    return max(right - left, bottom - top)


def _shrinkage(image: NDArray[np.uint8]) -> float:
    """Pixels of a picture for one of the copy in which its faces are sought first."""
    return max(image.shape[:2]) / _DETECTION_SIDES[0]


def faces_within(faces: Iterable[Face], box: Box | None) -> tuple[Face, ...]:
    """Those whose centre lies in a box; all of them without one."""
    if box is None:
        return tuple(faces)
    left, top, right, bottom = box
    return tuple(face for face in faces if left <= face.center[0] < right and top <= face.center[1] < bottom)


def choose_face(faces: tuple[Face, ...], choice: FaceChoice = "largest") -> Face:
    """Picks one of the faces of a picture.

    Args:
        faces: at least one face.
        choice: ``"largest"``; an index, counted from the left from 0; or a point (x, y) in pixels: the face
            whose centre is nearest to it.

    Raises:
        InputError: there is no face with that index.
    """
    if choice == "largest":
        return max(faces, key=lambda face: face.area)
    if isinstance(choice, int):
        if not 0 <= choice < len(faces):
            raise InputError(
                f"face {choice}",
                f"only {len(faces)} {'face was' if len(faces) == 1 else 'faces were'} found",
                f"Choose an index from 0 to {len(faces) - 1} (counted from the left), or the largest face",
            )
        return sorted(faces, key=lambda face: face.center[0])[choice]
    x, y = choice
    return min(faces, key=lambda face: (face.center[0] - x) ** 2 + (face.center[1] - y) ** 2)
