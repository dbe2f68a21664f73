"""A driver made of the portrait alone, for sound without a video: its own eyes, that may blink and sway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media.source import pictures_source
from ..motion import Liveliness
from .crops import whole_crop
from .driving import PreparedDriving
from .head_motion import moved_picture, moved_points
from .landmarks import to_68
from .modes.eyes import EYES
from .modes.mode import ClipFaces, PlanOptions
from .modes.plain import PLAIN, PlainPlan

_EYES = (slice(36, 42), slice(42, 48))


def still_driving(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.floating] | None,
    num_frames: int,
    frame_rate: Fraction,
    liveliness: Liveliness,
    head_motion: NDArray[np.floating],
) -> PreparedDriving:
    """The portrait as its own driver, of which eyes and brows are shown.

    Args:
        picture: the portrait's square, uint8 (S, S, 3).
        landmarks: of it, (68 or 478, 2) in pixels; without any the driver is black: the sound alone drives.
        num_frames: at least one.
        frame_rate: frames per second.
        liveliness: blinking and swaying.
        head_motion: amplitude of the sway, one per frame.
    """
    size = len(picture)
    crop = whole_crop((size, size), size)
    if landmarks is None:
        black = [np.zeros_like(picture)] * num_frames
        report = "no face was found in the portrait: it moves by sound alone"
        return PreparedDriving(pictures_source(black, frame_rate), crop, PLAIN, PlainPlan(), report, False)
    points = np.asarray(to_68(landmarks), np.float64)
    times = np.arange(num_frames) / float(frame_rate)
    heads = liveliness.head(times, head_motion, points.mean(axis=0), size)
    pictures = _Lively(picture, points, liveliness.openness(times), heads)
    moved = moved_points(np.broadcast_to(points, (num_frames, 68, 2)), heads)
    plan, _ = EYES.plan(ClipFaces(size, landmarks=list(moved)), PlanOptions())
    source = pictures_source(pictures, frame_rate)
    return PreparedDriving(source, crop, EYES, plan, "", False)


@dataclass(frozen=True)
class _Lively(Sequence[NDArray[np.uint8]]):
    """Pictures are made when they are asked for."""

    picture: NDArray[np.uint8]
    landmarks: NDArray[np.float64]
    openness: NDArray[np.float64]
    heads: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, index: Any) -> Any:
        blinking = _squeeze_eyes(self.picture.astype(np.float32), self.landmarks, self.openness[index])
        return moved_picture(blinking, self.heads[index]).round().clip(0, 255).astype(np.uint8)


def _squeeze_eyes(
    picture: NDArray[np.float32], landmarks: NDArray[np.float64], openness: float
) -> NDArray[np.float32]:
    """Eyes of less height; the lids around them are stretched towards them."""
    if openness == 1:
        return picture
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    for eye in _EYES:
        center = landmarks[eye].mean(axis=0)
        width = np.ptp(landmarks[eye][:, 0])
        # An ellipse of pixels: squeezed in its middle, untouched at its rim.
        distance = np.hypot((x - center[0]) / width, (y - center[1]) / (0.6 * width))
        weight = np.clip(1 - distance, 0, 1)
        factor = 1 + (1 / openness - 1) * weight
        y = np.where(weight > 0, center[1] + (y - center[1]) * factor, y).astype(np.float32)
        limit = 0.6 * width
        y = np.where(weight > 0, np.clip(y, center[1] - limit, center[1] + limit), y).astype(np.float32)
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
