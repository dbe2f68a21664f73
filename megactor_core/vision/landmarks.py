"""Face landmarks: the protocol, MediaPipe's landmarker behind it, and the way from 478 to 68 points."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

# The 68 points of the 300-W scheme, each by its nearest vertex of MediaPipe's face mesh.
# "Right" and "left" are the person's own.
MEDIAPIPE_TO_68 = (
    # 0-16 outline, from the right ear over the chin to the left ear
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    # 17-21 right brow, 22-26 left brow, both from the person's right to left
    *(70, 63, 105, 66, 107),
    *(336, 296, 334, 293, 300),
    # 27-30 bridge of the nose, 31-35 below its tip
    *(168, 197, 5, 4),
    *(75, 97, 2, 326, 305),
    # 36-41 right eye, 42-47 left eye, clockwise in the picture from the outer / inner corner
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    # 48-59 outer lips, 60-67 inner lips, clockwise from the right corner
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


class Landmarker(Protocol):
    """Protocol of a landmarker: uint8 RGB (H, W, 3) to float (68 or 478, 2) in pixels, None if faceless."""

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.floating] | None: ...


class MediaPipeLandmarker:
    """MediaPipe's face landmarker (478 points); needs the optional package ``mediapipe``.

    Args:
        model_path: ``face_landmarker*.task``.
        details: ``detect`` also tells blendshapes and the head's matrix; the file must be one that does.

    Raises:
        InputError: the package is not installed, or the file is missing or of another kind.
    """

    def __init__(self, model_path: str | Path, details: bool = False) -> None:
        try:
            import mediapipe
            from mediapipe.tasks import python as tasks
        except ImportError as error:
            raise InputError(
                "mediapipe", "the package is not installed", "Install it with: pip install mediapipe"
            ) from error
        path = Path(model_path)
        if not path.is_file():
            raise InputError(
                path, "the landmarker's file does not exist", "Give the path of a face_landmarker.task"
            )
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            num_faces=1,
            output_face_blendshapes=details,
            output_facial_transformation_matrixes=details,
        )
        try:
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                path, "not a face landmarker", "Give the path of a face_landmarker.task"
            ) from error
        # Left to the end of the interpreter, MediaPipe complains on the terminal.
        weakref.finalize(self, self._landmarker.close)
        self._image = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The landmarks of one picture, float32 (478, 2) in pixels."""
        faces = self.detect(image).face_landmarks
        if not faces:
            return None
        size = np.array(image.shape[1::-1], np.float32)
        return np.array([(point.x, point.y) for point in faces[0]], np.float32) * size

    def detect(self, image: NDArray[np.uint8]) -> Any:
        """MediaPipe's ``FaceLandmarkerResult`` of one picture."""
        picture = self._image(image_format=self._format, data=np.ascontiguousarray(image))
        return self._landmarker.detect(picture)


def find_landmarker(
    given: Path | None, usual: Path, needed: bool, details: bool = False
) -> MediaPipeLandmarker | None:
    """The landmarker of a file, or None where it is neither at hand nor needed.

    Args:
        given: the file that was asked for.
        usual: where the file is otherwise, if it is on this machine.
        needed: whether there must be one.
        details: see ``MediaPipeLandmarker``.

    Raises:
        InputError: see ``MediaPipeLandmarker``; only where a file was given, or one is needed.
    """
    if given is None and not needed and not (usual.is_file() and find_spec("mediapipe") is not None):
        return None
    return MediaPipeLandmarker(given or usual, details)


def to_68(landmarks: NDArray[np.floating]) -> NDArray[np.floating]:
    """68 points of 68 or 478, (N, 2).

    Raises:
        ValueError: another number of points.
    """
    if landmarks.shape == (68, 2):
        return landmarks
    if landmarks.shape == (478, 2):
        return landmarks[list(MEDIAPIPE_TO_68)]
    raise ValueError(f"landmarks must be (68, 2) or (478, 2), got {landmarks.shape}")


def track_landmarks(
    images: Iterable[NDArray[np.uint8]], landmarker: Landmarker, subject: str = "driving video"
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """68 landmarks for every image of a clip.

    An image without a face repeats the landmarks of the last one with a face (at the beginning: of
    the first).

    Args:
        images: uint8 RGB (H, W, 3), one by one; read once, not kept.
        landmarker: finds the landmarks of one image.
        subject: name of the clip in error messages.

    Returns:
        float32 (F, 68, 2) in pixels, and bool (F,): True where a face was seen.

    Raises:
        InputError: no image has a face.
    """
    seen = [landmarker(image) for image in images]
    found = np.array([points is not None for points in seen], bool)
    landmarks = hold_landmarks(seen)
    if landmarks is None:
        raise InputError(subject, "no face landmarks were found", "Use the plain condition, or another video")
    return landmarks, found


def hold_landmarks(seen: Sequence[NDArray[np.floating] | None]) -> NDArray[np.float32] | None:
    """68 landmarks for every frame, float32 (F, 68, 2).

    Args:
        seen: (68 or 478, 2) per frame, None where no face was seen: such a frame repeats the landmarks of the
            last one with a face, at the beginning of the first. None is returned where no frame has any.
    """
    found = np.array([points is not None for points in seen], bool)
    if not found.any():
        return None
    last = np.maximum.accumulate(np.where(found, np.arange(len(seen)), -1))
    last[last < 0] = int(found.argmax())
    rows = {index: to_68(points) for index, points in enumerate(seen) if points is not None}
    return np.stack([rows[index] for index in last.tolist()]).astype(np.float32)
