"""Step ``faces``: the face in every frame of a clip, and whether the clip is fit for training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...vision.crops import face_area_ratios, face_crop
from ...vision.faces import Detector, Face, FaceDetector
from ...vision.landmarks import Landmarker, MediaPipeLandmarker
from ...vision.portrait import need_detector
from ...vision.tracking import FaceTrack, NoFaceError, follow_face
from ...weights.catalogue import find_known
from ...weights.folders import models_folder
from ..clip_file import ClipFile
from ..settings import FacesSettings, Kept, Rejected
from ..shards import CLIP, FACES, Entry


class FaceFinder:
    """Adds ``faces.json`` to a clip or rejects the clip.

    Args:
        settings: thresholds.
        detector: finds the faces of a frame.
        landmarker: finds landmarks; without one, the detector's five points are kept.
    """

    def __init__(
        self, settings: FacesSettings, detector: Detector, landmarker: Landmarker | None = None
    ) -> None:
        self._settings, self._detector, self._landmarker = settings, detector, landmarker

    @classmethod
    def from_files(cls, settings: FacesSettings) -> FaceFinder:
        """With the detector and the landmarker that the settings name.

        Raises:
            InputError: a file or package is missing.
        """
        known = models_folder() / find_known("face-detector")[0].file
        path = settings.face_detector or (known if known.is_file() else None)
        detector = need_detector(None if path is None else FaceDetector(path))
        landmarker = MediaPipeLandmarker(settings.landmarker) if settings.landmarker else None
        return cls(settings, detector, landmarker)

    def __call__(self, clip: Entry) -> Kept:
        """Look at every frame once."""
        luma: list[float] = []
        faces: list[tuple[Face, ...]] = []
        with ClipFile(clip.read(CLIP)) as reader:
            size = reader.size
            for image in reader.frames():
                luma.append(float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()))
                faces.append(self._look(image))
        try:
            track = follow_face(faces, lost="interpolate")
        except NoFaceError as error:
            raise Rejected("no face") from error
        self._judge(track, np.array(luma), size)
        return Kept({**clip.sample(), FACES: json.dumps(_facts(track, faces, luma, size)).encode()})

    def _look(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        faces = self._detector.detect(image)
        if self._landmarker is None or not faces:
            return faces
        landmarks = self._landmarker(image)
        if landmarks is None:
            return faces
        middle = landmarks.mean(axis=0)
        owner = min(faces, key=lambda face: float(np.hypot(*(middle - face.center))))
        return tuple(replace(face, landmarks=landmarks) if face is owner else face for face in faces)

    def _judge(self, track: FaceTrack, luma: NDArray[np.float64], size: tuple[int, int]) -> None:
        settings = self._settings
        if not track.found[0]:
            raise Rejected("no face in the first frame")
        usable = luma > settings.minimum_luma
        if usable.sum() < settings.minimum_frames:
            raise Rejected("too few frames", f"{usable.sum()} are bright enough")
        lost = 1 - float(track.found.mean())
        if lost > settings.maximum_lost:
            raise Rejected("face lost", f"in {lost:.0%} of the frames")
        centers, widths = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2, track.boxes[:, 2] - track.boxes[:, 0]
        jumps = np.linalg.norm(np.diff(centers, axis=0), axis=1) / widths[1:]
        if track.report.chosen_again or (jumps > settings.maximum_jump).any():
            raise Rejected("unsteady face", f"it jumps by {jumps.max():.2f} of its width")
        boxes = track.boxes[usable]
        try:
            crop = face_crop(boxes, size, 512)
        except InputError as error:
            raise Rejected("face on the border") from error
        ratio = float(face_area_ratios(crop.to_crop(boxes), (crop.size, crop.size)).min())
        if ratio < settings.minimum_face_ratio:
            raise Rejected("face too small", f"{ratio:.3f} of the square")


def _facts(
    track: FaceTrack, faces: Sequence[tuple[Face, ...]], luma: list[float], size: tuple[int, int]
) -> dict[str, Any]:
    points = [_points(box, several) for box, several in zip(track.boxes, faces, strict=True)]
    landmarks = None if track.landmarks is None else np.round(track.landmarks, 1).tolist()
    return {
        "size": list(size),
        "boxes": np.round(track.boxes.astype(float), 2).tolist(),
        "found": track.found.tolist(),
        "persons": [len(several) for several in faces],
        "luma": [round(value, 2) for value in luma],
        "points": points,
        "landmarks": landmarks,
    }


def _points(box: NDArray[np.float32], faces: Sequence[Face]) -> list[list[float]] | None:
    """Five points of the face that was followed; None where it was not seen or the detector does not tell."""
    for face in faces:
        if face.points is not None and np.array_equal(np.array(face.box, np.float32), box):
            return np.round(face.points.astype(float), 1).tolist()
    return None
