"""Look at the driving file: follow the face, then turn every frame into a driving condition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.source import DrivingSource
from .condition import (
    ContourPlan,
    contour_condition,
    contour_plan,
    plain_boxes,
    plain_condition,
)
from .crops import Crop, box_crop, face_crop, whole_crop
from .faces import Detector, FaceChoice
from .landmarks import Landmarker, to_68, track_landmarks
from .portrait import CropMode, Portrait, need_detector
from .tracking import FaceTrack, LostPolicy, track_faces

DrivingMode = Literal["plain", "contour"]
"""What is kept of a driving frame: the face's surroundings, or patches of eyes, brows and mouth."""


@dataclass(frozen=True)
class PreparedDriving:
    """A driving file, ready to be read as condition frames; holds no pixels.

    Attributes:
        source: the file.
        start, stop: the frames that are used.
        crop: the square that is used of every frame.
        boxes: plain mode: what is kept of each cropped frame, int64 (frames, 4), or None to keep all of it.
        passed: bool (frames,), True for frames whose whole square is kept because the face was lost.
        contour: contour mode: patches and alignment.
        report: one line about the face, empty where none was looked for.
        antialias: how the squares are shrunk, see ``Crop.apply``.
    """

    source: DrivingSource
    start: int
    stop: int
    crop: Crop
    boxes: NDArray[np.int64] | None
    passed: NDArray[np.bool_]
    contour: ContourPlan | None
    report: str
    antialias: bool

    @property
    def num_frames(self) -> int:
        """At least 1."""
        return self.stop - self.start

    def crops(self) -> Iterator[NDArray[np.float32]]:
        """The squares, float32 (size, size, 3), 0..255, read from the file one by one."""
        for _, _, image in self.source.frames(self.start, self.stop):
            yield self.crop.apply(image, self.antialias).clip(0, 255)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One square for people to look at, uint8 (size, size, 3); ``index`` counts from ``start``."""
        _, _, image = next(iter(self.source.frames(self.start + index, self.start + index + 1)))
        return self.crop.apply(image, antialias=True).round().clip(0, 255).astype(np.uint8)

    def conditions(self) -> Iterator[NDArray[np.float32]]:
        """Grey condition frames, float32 (size, size), 0..255, read from the file one by one."""
        for index, cropped in enumerate(self.crops()):
            if self.contour is not None:
                yield contour_condition(cropped, self.contour)
            else:
                box = None if self.boxes is None or self.passed[index] else self.boxes[index]
                yield plain_condition(cropped, box)

    def times(self) -> Iterator[Fraction]:
        """Time of each frame in seconds after the first."""
        first = self.source.frame_times.time(self.start)
        return (self.source.frame_times.time(i) - first for i in range(self.start, self.stop))


def prepare_driving(
    source: DrivingSource,
    size: int,
    *,
    crop: CropMode = "face",
    mode: DrivingMode = "plain",
    face: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    start: int = 0,
    stop: int | None = None,
    portrait: Portrait | None = None,
    detector: Detector | None = None,
    landmarker: Landmarker | None = None,
    antialias: bool = False,
) -> PreparedDriving:
    """Decide what is shown to the model of every driving frame; the frames are read once or twice.

    Args:
        source: from ``open_driving``.
        size: side of the squares in pixels.
        crop: see ``CropMode``. Without a detector the whole square is the condition.
        mode: see ``DrivingMode``; contour needs a landmarker.
        face: which face.
        lost: what frames without the face get.
        smoothing: of the face's boxes over time, 0 to below 1.
        start, stop: the frames to use, as in a slice.
        portrait: aligns the patches of the contour mode with its face.
        detector, landmarker: find faces and their landmarks.
        antialias: see ``Crop.apply``.

    Raises:
        InputError: no face where one is needed, no frames left, or a missing detector or landmarker.
    """
    start, stop, _ = slice(start, stop).indices(source.num_frames)
    if stop <= start:
        raise InputError(
            source.path, f"frames {start} to {stop} are none of its {source.num_frames}", "Choose others"
        )
    frame_size = (source.height, source.width)
    track: FaceTrack | None = None
    if crop == "face" or (detector is not None and mode == "plain"):
        frames = (image for _, _, image in source.frames(start, stop))
        try:
            track = track_faces(frames, need_detector(detector), face, lost, smoothing, str(source.path))
        except InputError:
            # A box or the whole frame was asked for: then a driver without a known face is shown as it is.
            if crop == "face":
                raise
    if crop == "face":
        assert track is not None
        square = face_crop(track.boxes, frame_size, size)
    else:
        square = whole_crop(frame_size, size) if crop == "whole" else box_crop(crop, frame_size, size)
    boxes = None if track is None else plain_boxes(square.to_crop(track.boxes), size)
    passed = np.zeros(stop - start, bool) if track is None else track.passed
    report = "" if track is None else str(track.report)
    prepared = PreparedDriving(source, start, stop, square, boxes, passed, None, report, antialias)
    if mode == "plain":
        return prepared
    plan = _contour(prepared, portrait, landmarker)
    return replace(prepared, boxes=None, contour=plan)


def _contour(
    prepared: PreparedDriving, portrait: Portrait | None, landmarker: Landmarker | None
) -> ContourPlan:
    if landmarker is None:
        raise InputError(
            "driving mode contour", "needs face landmarks", "Give a landmarker's file, or use the plain mode"
        )
    squares = (cropped.astype(np.uint8) for cropped in prepared.crops())
    driver, _ = track_landmarks(squares, landmarker, str(prepared.source.path))
    reference = None if portrait is None else landmarker(portrait.picture)
    target = None if reference is None else to_68(reference)
    return contour_plan(driver, target, prepared.crop.size)
