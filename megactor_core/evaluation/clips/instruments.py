"""Opens what clips are measured with, and says what is missing."""

from __future__ import annotations

from importlib.util import find_spec

from ...animator import find_detector
from ...errors import InputError
from ...vision.faces import FaceDetector
from ...vision.landmarks import MediaPipeLandmarker
from ..measures.clip import Instruments
from ..measures.face_identity import IdentityRecogniser
from ..measures.face_readings import CoarseReader, FaceReader, MediaPipeReader
from ..measures.lpips import Lpips
from ..measures.video_distance import VideoFeatures
from .request import EvaluationRequest

_DETECTOR_HINT = "python -m megactor_core weights download face-detector"


def open_instruments(
    request: EvaluationRequest, landmarker: MediaPipeLandmarker | None
) -> tuple[Instruments, list[str]]:
    """The instruments that are at hand or named, and a note for every measure that is left out.

    Args:
        request: names the files.
        landmarker: one with details, where MediaPipe is at hand.

    Raises:
        InputError: a file that was named cannot be used.
    """
    notes: list[str] = []
    detector = find_detector(request.face_detector, request.models_folder)
    reader = _reader(landmarker, detector, notes)
    lpips = identity = video = None
    if request.lpips_weights is None:
        notes.append("LPIPS and temporal LPIPS: no network was named (--lpips-weights)")
    else:
        lpips = Lpips(request.lpips_weights)
    if request.identity_weights is None:
        notes.append("identity: no face recogniser was named (--identity-weights)")
    elif detector is None:
        problem = "needs the face detector's file, which is not on this machine"
        raise InputError("--identity-weights", problem, f"Fetch it with: {_DETECTOR_HINT}")
    else:
        identity = IdentityRecogniser(request.identity_weights, detector)
    if request.fvd_weights is None:
        notes.append("FVD: no network of video features was named (--fvd-weights)")
    else:
        video = VideoFeatures(request.fvd_weights, request.frames)
    return Instruments(lpips, reader, identity, video), notes


def _reader(
    landmarker: MediaPipeLandmarker | None, detector: FaceDetector | None, notes: list[str]
) -> FaceReader | None:
    if landmarker is not None:
        return MediaPipeReader(landmarker)
    missing = "MediaPipe's face landmarker is not at hand (--landmarker)"
    if find_spec("mediapipe") is None:
        missing = "the package mediapipe is not installed (pip install mediapipe)"
    if detector is None:
        notes.append(f"expression, head pose, gaze and faces: {missing}, nor is the face detector")
        return None
    notes += [
        f"expression and gaze: {missing}",
        "head pose is coarse: a rigid mean face fitted to the face detector's five points",
    ]
    return CoarseReader(detector)
