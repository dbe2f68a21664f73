"""68 landmarks from a detector's five points: a rigid mean face, turned so that its five points fit.

They tell where the face and its parts are, not what they do: enough to place patches and to align faces, not
to follow an expression.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .faces import Detector, choose_face

# The 68 points (300-W scheme) of a mean face in centimetres: x to the person's left, y down, z towards the
# viewer: the vertices ``landmarks.MEDIAPIPE_TO_68`` of MediaPipe's canonical face model (Apache-2.0).
MEAN_FACE = np.array(
    [
        # 0-16 outline
        (-7.74, -2.36, -2.01), (-7.66, -0.67, -2.44), (-7.54, 1.05, -2.43), (-7.27, 2.89, -2.25),
        (-6.72, 4.79, -1.75), (-5.09, 7.18, 0.71), (-4.07, 7.99, 1.93), (-2.31, 8.97, 3.61),
        (0.00, 9.40, 4.26), (2.31, 8.97, 3.61), (4.07, 7.99, 1.93), (5.09, 7.18, 0.71), (6.72, 4.79, -1.75),
        (7.27, 2.89, -2.25), (7.54, 1.05, -2.43), (7.66, -0.67, -2.44), (7.74, -2.36, -2.01),
        # 17-21 right brow, 22-26 left brow
        (-5.72, -4.25, 2.83), (-4.99, -4.80, 3.75), (-3.99, -5.11, 4.47), (-2.76, -5.10, 5.02),
        (-1.40, -5.01, 5.32),
        (1.40, -5.01, 5.32), (2.76, -5.10, 5.02), (3.99, -5.11, 4.47), (4.99, -4.80, 3.75),
        (5.72, -4.25, 2.83),
        # 27-30 bridge of the nose, 31-35 below its tip
        (0.00, -3.27, 5.24), (0.00, -1.73, 6.32), (0.00, -0.37, 7.24), (0.00, 0.46, 7.59),
        (-1.04, 1.46, 5.66), (-0.60, 2.01, 5.87), (0.00, 2.09, 6.06), (0.60, 2.01, 5.87), (1.04, 1.46, 5.66),
        # 36-41 right eye, 42-47 left eye
        (-4.45, -2.66, 3.17), (-3.67, -2.93, 3.72), (-2.72, -2.96, 3.87), (-1.86, -2.59, 3.76),
        (-2.72, -2.32, 3.78), (-3.67, -2.36, 3.64),
        (1.86, -2.59, 3.76), (2.72, -2.96, 3.87), (3.67, -2.93, 3.72), (4.45, -2.66, 3.17),
        (3.67, -2.36, 3.64), (2.72, -2.32, 3.78),
        # 48-59 outer lips, 60-67 inner lips
        (-2.46, 4.34, 4.28), (-1.43, 3.50, 5.50), (-0.71, 3.33, 5.88), (0.00, 3.41, 5.98), (0.71, 3.33, 5.88),
        (1.43, 3.50, 5.50), (2.46, 4.34, 4.28), (1.33, 5.11, 5.21), (0.70, 5.29, 5.45), (0.00, 5.37, 5.54),
        (-0.70, 5.29, 5.45), (-1.33, 5.11, 5.21),
        (-2.15, 4.28, 4.04), (-0.53, 3.99, 5.14), (0.00, 3.99, 5.22), (0.53, 3.99, 5.14), (2.15, 4.28, 4.04),
        (0.58, 4.52, 5.34), (0.00, 4.54, 5.40), (-0.58, 4.52, 5.34),
    ]
)  # fmt: skip

# A detector's points as means of the 68: right eye, left eye, tip of the nose, corners of the mouth.
FIVE_POINTS = (range(36, 42), range(42, 48), (30,), (48,), (54,))


def coarse_landmarks(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """The mean face seen by the affine camera that shows its five points nearest to the given ones.

    Args:
        points: (5, 2) in pixels, in the order of ``Face.points``.

    Returns:
        float32 (68, 2) in pixels.
    """
    anchors = np.stack([MEAN_FACE[list(group)].mean(axis=0) for group in FIVE_POINTS])
    return (_homogeneous(MEAN_FACE) @ affine_camera(anchors, points)).astype(np.float32)


def affine_camera(face: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The parallel projection that shows a face nearest to given points (least squares).

    Args:
        face: (n, 3), points of ``MEAN_FACE``.
        points: (n, 2) in pixels.

    Returns:
        float64 (4, 2): what x, y and z of the face add to a position, and the position of its origin.
    """
    camera, *_ = np.linalg.lstsq(_homogeneous(face), np.asarray(points, np.float64), rcond=None)
    return np.asarray(camera, np.float64)


class CoarseLandmarker:
    """A ``Landmarker`` that asks a face detector; for machines without MediaPipe.

    Args:
        detector: finds the faces of a picture; the largest counts. Landmarks of its own are preferred.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        """The landmarks of one picture, (68 or 478, 2) in pixels; None without a face or its points."""
        faces = self._detector.detect(image)
        if not faces:
            return None
        face = choose_face(faces)
        if face.landmarks is not None:
            return face.landmarks
        return None if face.points is None else coarse_landmarks(face.points)


def _homogeneous(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([points, np.ones(len(points))])
