"""Readings of a face in one picture: head pose, expression, gaze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...vision.coarse_landmarks import MEAN_FACE, CoarseLandmarker, affine_camera
from ...vision.faces import Detector
from ...vision.gaze import MESH_EYES, eye_angles
from ...vision.landmarks import MediaPipeLandmarker

Float64Array = NDArray[np.float64]

_SHUT = 0.5
"""Value of the blendshapes ``eyeBlink*`` above which an eye shows no gaze."""


@dataclass(frozen=True)
class FaceReading:
    """One face.

    Attributes:
        rotation: float64 (3, 3), the head's orientation: a rotation matrix.
        blendshapes: float64 (51,), MediaPipe's coefficients but ``_neutral``, 0..1; None where not read.
        gaze: float64 (2,), the eyes in the head in degrees, to the picture's right and down; None where not
            read.
        eyes_open: False where an eye is shut, so that its gaze is a guess.
    """

    rotation: Float64Array
    blendshapes: Float64Array | None = None
    gaze: Float64Array | None = None
    eyes_open: bool = True


class FaceReader(Protocol):
    """Reads the face of a picture, uint8 RGB (H, W, 3); None where it shows none.

    Attributes:
        reads: what it can tell, of ``expression``, ``pose`` and ``gaze``.
    """

    reads: tuple[str, ...]

    def __call__(self, image: NDArray[np.uint8]) -> FaceReading | None: ...


class MediaPipeReader:
    """Head, expression and gaze by MediaPipe's face landmarker.

    Args:
        landmarker: one with details.
    """

    reads: tuple[str, ...] = ("expression", "pose", "gaze")

    def __init__(self, landmarker: MediaPipeLandmarker) -> None:
        self._landmarker = landmarker

    def __call__(self, image: NDArray[np.uint8]) -> FaceReading | None:
        seen = self._landmarker.detect(image)
        if not seen.face_landmarks:
            return None
        values = {shape.category_name: float(shape.score) for shape in seen.face_blendshapes[0]}
        rotation = nearest_rotation(np.asarray(seen.facial_transformation_matrixes[0])[:3, :3])
        eyes_open = max(values["eyeBlinkLeft"], values["eyeBlinkRight"]) <= _SHUT
        size = np.array(image.shape[1::-1])
        points = np.array([(point.x, point.y) for point in seen.face_landmarks[0]]) * size
        blendshapes = np.array([values[name] for name in sorted(values) if name != "_neutral"])
        return FaceReading(rotation, blendshapes, iris_gaze(points), eyes_open)


class CoarseReader:
    """The head's orientation alone, from a detector's five points; for machines without MediaPipe."""

    reads: tuple[str, ...] = ("pose",)

    def __init__(self, detector: Detector) -> None:
        self._landmarker = CoarseLandmarker(detector)

    def __call__(self, image: NDArray[np.uint8]) -> FaceReading | None:
        landmarks: Any = self._landmarker(image)
        return None if landmarks is None else FaceReading(rotation_of_landmarks(landmarks))


def rotation_of_landmarks(landmarks: NDArray[np.floating]) -> Float64Array:
    """Orientation of a head, (3, 3), from its 68 landmarks (68, 2) in pixels: that of the mean face whose
    parallel projection comes nearest to them."""
    across, down = affine_camera(MEAN_FACE, landmarks)[:3].T
    away = np.cross(across, down) / max(np.sqrt(np.linalg.norm(across) * np.linalg.norm(down)), 1e-9)
    return nearest_rotation(np.stack([across, down, away]))


def nearest_rotation(matrix: Float64Array) -> Float64Array:
    """The rotation nearest to a matrix (3, 3) up to its scale (polar decomposition)."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    return np.asarray(left @ np.diag((1.0, 1.0, np.linalg.det(left @ right))) @ right)


def iris_gaze(points: Float64Array) -> Float64Array:
    """Direction of the eyes in the head in degrees, mean of both: to the picture's right, and down.

    Args:
        points: (478, 2), MediaPipe's landmarks in pixels.
    """
    angles = [eye_angles(points[left], points[right], points[iris]) for left, right, _, _, iris in MESH_EYES]
    return np.mean(angles, axis=0)
