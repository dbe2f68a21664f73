"""Held-out puppet clips, each with the drivers that an animation is tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media.pictures import Images
from ...puppets.clips import FRAME_RATE, ClipPair, clip_pair, puppet_faces, render_motion, sample_clip
from ...puppets.identity import with_shape_of
from ...puppets.motion import FloatArray
from ...puppets.sound import mouth_sound
from ...vision.modes.levels import Levels, show
from ...vision.modes.mode import DrivingMode
from ...vision.modes.plain import PLAIN

DrivingCondition = Literal["face", "whole"]

DRIVES = ("cross", "second", "self", "shuffled", "removed")
"""What drives a clip. ``cross``: another identity with the true motion. ``second``: a further identity with
the same motion. ``self``: the truth itself. ``shuffled``: that further identity with another clip's motion.
``removed``: black frames, and silence."""

STRETCHES = {"wide": 1.2, "narrow": 1 / 1.2}
"""Factors by which what is shown of a driver is stretched across, to see whether its shape comes through."""


@dataclass(frozen=True)
class Drive:
    """Driver of a clip.

    Attributes:
        shown: of the driver's frames, see ``levels.show``.
        sound: 16 kHz mono float32 (samples,), that of the driver's mouth.
        start: seconds of the sound that have passed at the first frame.
        speech: amplitude of speech, see ``motion.Amplitude``.
    """

    shown: Levels
    sound: NDArray[np.float32]
    start: Fraction = Fraction(0)
    speech: float = 1.0


@dataclass(frozen=True)
class PuppetDrives:
    """One held-out clip.

    Attributes:
        pair: reference, first driver and exact truth.
        second_frames: the second driver, uint8 (F, S, S, 3).
        alike_frames: the truth as it would be if the shape of the driver's face came through.
        mode: how drivers are shown.
        drives: by the names of ``DRIVES``.
        still: the reference as its own driver, which does not move and is silent.
        stretched: the driver of ``cross``, shown wider and narrower, by the names of ``STRETCHES``.
    """

    pair: ClipPair
    second_frames: Images
    alike_frames: Images
    mode: DrivingMode
    drives: Mapping[str, Drive]
    still: Drive
    stretched: Mapping[str, Drive]


def puppet_drives(
    seed: int,
    index: int,
    num_frames: int,
    size: int,
    condition: DrivingCondition = "face",
    mode: DrivingMode = PLAIN,
) -> PuppetDrives:
    """Clip ``index`` of a seed, whatever the number of clips; the second driver comes from the next clip.

    Modes that align the driver with the portrait are told where the truth has its face in the frame that
    decides: a puppet's motion is one of places in the picture, and its truth is not moved either.

    Args:
        seed: 0 or more.
        index: 0 or more.
        num_frames: frames of the clip.
        size: side of the pictures in pixels.
        condition: ``whole``: as if no face had been looked for; for modes that read no landmarks.
        mode: how drivers are shown.
    """
    pair = clip_pair(seed, index, num_frames, size, "held-out")
    other = sample_clip(seed, index + 1, num_frames, "held-out")
    reference, target = pair.reference, pair.truth_landmarks[mode.anchor]

    def shown(
        frames: Images, boxes: FloatArray, landmarks: FloatArray, target: FloatArray, stretch: float = 1.0
    ) -> Levels:
        faces = puppet_faces(size, boxes, landmarks, target, whole=condition == "whole")
        # After the alignment, which may take out what both faces differ in.
        return show(mode, frames, faces, None if stretch == 1 else _across(stretch, target))

    second_frames, _, *second = render_motion(other.driver_identity, pair.motion, size)
    shuffled_frames, _, *shuffled = render_motion(other.driver_identity, other.motion, size)
    sound, other_sound = mouth_sound(pair.motion, FRAME_RATE), mouth_sound(other.motion, FRAME_RATE)
    cross = shown(pair.driver_frames, pair.driver_boxes, pair.driver_landmarks, target)
    truth = shown(pair.truth_frames, pair.truth_boxes, pair.truth_landmarks, target)
    silent = np.zeros_like(sound)
    drives = {
        "cross": Drive(cross, sound),
        "second": Drive(shown(second_frames, second[0], second[1], target), sound),
        "self": Drive(truth, sound),
        "shuffled": Drive(shown(shuffled_frames, shuffled[0], shuffled[1], target), other_sound),
        "removed": Drive({name: np.zeros_like(frames) for name, frames in cross.items()}, silent),
    }
    face, points = reference.face_box[None], reference.landmarks[None]
    once = shown(reference.image[None], face, points, reference.landmarks)
    still = {name: frames.repeat(num_frames, axis=0) for name, frames in once.items()}
    driver = (pair.driver_frames, pair.driver_boxes, pair.driver_landmarks, target)
    stretched = {name: Drive(shown(*driver, factor), sound) for name, factor in STRETCHES.items()}
    alike = with_shape_of(pair.clip.identity, pair.clip.driver_identity)
    alike_frames = render_motion(alike, pair.motion, size)[0]
    return PuppetDrives(pair, second_frames, alike_frames, mode, drives, Drive(still, silent), stretched)


def stretched_pictures(frames: Images, landmarks: FloatArray, factor: float) -> Images:
    """Pictures uint8 (F, S, S, 3) stretched across about their faces; the border repeats.

    Args:
        frames: of the same shape.
        landmarks: (F, 68, 2) in pixels.
        factor: 1 leaves them.
    """
    moved = [
        cv2.warpAffine(frame, _across(factor, points), frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        for frame, points in zip(frames, landmarks, strict=True)
    ]
    return np.stack(moved).astype(np.uint8)


def _across(factor: float, landmarks: FloatArray) -> NDArray[np.float64]:
    """The affine map (2, 3) that stretches across about the middle of landmarks (68, 2)."""
    x = float(landmarks[:, 0].mean())
    return np.array([[factor, 0, (1 - factor) * x], [0, 1, 0]], np.float64)
