"""Step ``gaze``: keeps the clips in which the eyes move much.

Source: MegActor (arXiv 2405.20851), section 3.2, and its public data scripts: every 10th frame up to 32, a
maximum filter of width 3, a variance above 200 square degrees. They read the angles with a network
(L2CS-Net); here they come from where the iris is in the eye, so that turning the head does not count.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
from numpy.typing import NDArray

from ...vision.gaze import MESH_EYES, eye_angles
from ...vision.landmarks import Landmarker, MediaPipeLandmarker
from ..clip_file import ClipFile
from ..parts import face_landmarks
from ..settings import GazeSettings, Kept, Rejected
from ..shards import CLIP, GAZE, Entry

_EYES_OF_68 = (slice(36, 42), slice(42, 48))
# A lid that leaves less than this share of the eye's width open hides the iris.
_SHUT = 0.12
_FEWEST = 3
"""Readings that a variance takes."""

Angles = tuple[float, float]
"""Yaw to the picture's right and pitch downwards, in degrees."""


class GazeFilter:
    """Adds ``gaze.json`` to a clip, or rejects it because the eyes hardly move.

    Args:
        settings: threshold, and which frames are looked at.
        landmarker: MediaPipe's, whose points tell the irises; without it they are sought as what is
            darkest in the eyes, which is rough.
    """

    def __init__(self, settings: GazeSettings, landmarker: Landmarker | None = None) -> None:
        self._settings, self._landmarker = settings, landmarker

    @classmethod
    def from_files(cls, settings: GazeSettings) -> GazeFilter:
        """With the landmarker that the settings name.

        Raises:
            InputError: its file or package is missing.
        """
        return cls(settings, MediaPipeLandmarker(settings.landmarker) if settings.landmarker else None)

    def __call__(self, clip: Entry) -> Kept:
        """Read the angles and judge."""
        settings = self._settings
        with ClipFile(clip.read(CLIP)) as reader:
            numbers = list(range(0, reader.num_frames, settings.interval))[: settings.readings]
            images = reader.read(numbers)
        if self._landmarker is None:
            landmarks = face_landmarks(clip)
            found = [pupil_angles(image, landmarks[n]) for n, image in zip(numbers, images, strict=True)]
        else:
            found = [iris_angles(self._landmarker(image)) for image in images]
        seen = [(number, angles) for number, angles in zip(numbers, found, strict=True) if angles is not None]
        if len(seen) < _FEWEST:
            raise Rejected("gaze unknown", f"read in {len(seen)} frames")
        yaw, pitch = np.array([angles for _, angles in seen]).T
        variance = max(smoothed_variance(yaw), smoothed_variance(pitch))
        if variance <= settings.minimum_variance:
            raise Rejected("eyes hardly move", f"variance {variance:.0f}")
        gaze = {
            "frames": [number for number, _ in seen],
            "yaw": np.round(yaw, 1).tolist(),
            "pitch": np.round(pitch, 1).tolist(),
            "variance": round(variance, 1),
        }
        return Kept({**clip.sample(), GAZE: json.dumps(gaze).encode()})


def smoothed_variance(angles: NDArray[np.float64]) -> float:
    """Variance after a maximum filter of width 3, in square degrees."""
    padded = np.pad(angles, 1, mode="edge")
    return float(np.lib.stride_tricks.sliding_window_view(padded, 3).max(axis=-1).var())


def iris_angles(landmarks: NDArray[np.floating] | None) -> Angles | None:
    """Gaze from MediaPipe's 478 landmarks; None without a face or with shut eyes."""
    if landmarks is None:
        return None
    eyes = []
    for left, right, upper, lower, iris in MESH_EYES:
        width = np.linalg.norm(landmarks[right] - landmarks[left])
        if np.linalg.norm(landmarks[lower] - landmarks[upper]) > _SHUT * width:
            eyes.append(eye_angles(landmarks[left], landmarks[right], landmarks[iris]))
    return _mean(eyes)


def pupil_angles(image: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Angles | None:
    """Gaze from the darkest part of each eye; None where the eyes are too small or outside the picture.

    Args:
        image: uint8 RGB (H, W, 3).
        landmarks: (68, 2) in pixels.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    eyes = []
    for eye in _EYES_OF_68:
        points = np.asarray(landmarks[eye], np.float64)
        mask = np.zeros(grey.shape, np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 1)
        rows, columns = np.nonzero(mask)
        if len(rows) < 12:
            continue
        values = grey[rows, columns]
        dark = np.clip(np.percentile(values, 40) - values, 0, None)
        if dark.sum() > 0:
            iris = np.array([columns @ dark, rows @ dark]) / dark.sum()
            eyes.append(eye_angles(points[0], points[3], iris))
    return _mean(eyes)


def _mean(eyes: list[Angles]) -> Angles | None:
    if not eyes:
        return None
    yaw, pitch = np.mean(eyes, axis=0).tolist()
    return yaw, pitch
