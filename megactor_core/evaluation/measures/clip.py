"""Measures the frames of one animated clip, and those of the portrait copied, against its driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...media.pictures import Images
from . import pixels as metrics
from .face_readings import FaceReader, FaceReading
from .lpips import Lpips
from .video_distance import VideoFeatures

FrameValues = dict[str, NDArray[np.float64]]
"""Values of each frame, float64 (F,), by measure; NaN where a frame has none."""

_CHUNK = 8


@dataclass(frozen=True)
class Instruments:
    """Instruments of the measures; None where one is not at hand.

    Attributes:
        lpips: for LPIPS and temporal LPIPS.
        reader: for the share of frames with a face, the head pose, and what else it can read.
        identity: for the likeness to the portrait: embedding of a picture's face, None without a face.
        video: for the Frechet video distance.
    """

    lpips: Lpips | None = None
    reader: FaceReader | None = None
    identity: Callable[[NDArray[np.uint8]], NDArray[np.float64] | None] | None = None
    video: VideoFeatures | None = None


class ClipMeasures:
    """Ground truth of one clip, prepared once for any number of animations of it.

    Args:
        instruments: what is measured with.
        reference: the portrait's square, uint8 (S, S, 3).
        driver: the driver's squares, uint8 (F, S, S, 3).
        is_truth: whether they are what a perfect animation would show.
    """

    def __init__(self, instruments: Instruments, reference: Images, driver: Images, is_truth: bool) -> None:
        self._instruments = instruments
        self._driver, self._is_truth = driver, is_truth
        self._readings = self._read(driver)
        self._changes = self._frame_changes(driver)
        recognise = instruments.identity
        self._identity = None if recognise is None else recognise(reference)

    def of(self, frames: Images) -> FrameValues:
        """Values of frames that the driver has driven, uint8 (F, S, S, 3), by the names of ``MEASURES``."""
        values: FrameValues = {}
        if self._is_truth:
            pairs = list(zip(frames[:, None], self._driver[:, None], strict=True))
            values["psnr"] = np.array([metrics.psnr(one, other) for one, other in pairs])
            values["ssim"] = np.array([metrics.ssim(one, other) for one, other in pairs])
        if self._instruments.lpips is not None:
            if self._is_truth:
                values["lpips"] = self._lpips(frames, self._driver)
            difference = np.abs(self._frame_changes(frames) - self._changes) * 100
            values["temporal_lpips"] = np.concatenate([[np.nan], difference])
        if self._instruments.reader is not None:
            values.update(self._face_values(self._instruments.reader, self._read(frames)))
        if self._instruments.identity is not None:
            values["identity"] = np.array([self._likeness(frame) for frame in frames])
        return values

    def _lpips(self, first: Images, second: Images) -> NDArray[np.float64]:
        assert self._instruments.lpips is not None
        distances = []
        for begin in range(0, len(first), _CHUNK):
            pair = (metrics.pixel_tensor(images[begin : begin + _CHUNK]) for images in (first, second))
            distances.append(self._instruments.lpips.distances(*pair))
        return torch.cat(distances).numpy().astype(np.float64)

    def _frame_changes(self, frames: Images) -> NDArray[np.float64]:
        """LPIPS of neighbouring frames, (F - 1,)."""
        if self._instruments.lpips is None:
            return np.zeros(len(frames) - 1)
        return self._lpips(frames[1:], frames[:-1])

    def _read(self, frames: Images) -> list[FaceReading | None]:
        reader = self._instruments.reader
        return [] if reader is None else [reader(frame) for frame in frames]

    def _face_values(self, reader: FaceReader, readings: Sequence[FaceReading | None]) -> FrameValues:
        pairs = list(zip(readings, self._readings, strict=True))
        values = {name: np.array([_ERRORS[name](*pair) for pair in pairs]) for name in reader.reads}
        return {**values, "face_rate": np.array([100.0 * (reading is not None) for reading in readings])}

    def _likeness(self, frame: Images) -> float:
        assert self._instruments.identity is not None
        vector = self._instruments.identity(frame)
        return np.nan if vector is None or self._identity is None else float(vector @ self._identity)


def rotation_angle(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Angle in degrees of the rotation that takes one orientation (3, 3) to another."""
    return float(np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))))


def _expression_error(first: FaceReading | None, second: FaceReading | None) -> float:
    if first is None or second is None or first.blendshapes is None or second.blendshapes is None:
        return np.nan
    return 100 * float(np.abs(first.blendshapes - second.blendshapes).mean())


def _pose_error(first: FaceReading | None, second: FaceReading | None) -> float:
    return np.nan if first is None or second is None else rotation_angle(first.rotation, second.rotation)


def _gaze_error(output: FaceReading | None, driver: FaceReading | None) -> float:
    """Frames in which the driver's eyes are shut do not count; shut eyes of the output do."""
    if output is None or driver is None or output.gaze is None or driver.gaze is None:
        return np.nan
    return float(np.linalg.norm(output.gaze - driver.gaze)) if driver.eyes_open else np.nan


_ERRORS = {"expression": _expression_error, "pose": _pose_error, "gaze": _gaze_error}
