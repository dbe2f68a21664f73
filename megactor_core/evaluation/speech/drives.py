"""Held-out puppets that speak, each with the drivers and sounds that tell what moves the mouth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...media.pictures import Images
from ...media.waveform import SAMPLE_RATE
from ...puppets.clips import PuppetClip, puppet_faces, render_motion
from ...puppets.motion import MOUTH_COLUMNS, FloatArray, at_rest
from ...puppets.renderer import Puppet, PuppetFrame
from ...puppets.speaking import SpeakingClip
from ...vision.face_parts import part_boxes
from ...vision.modes.levels import show
from ...vision.modes.mode import DrivingMode
from ..measures.lip_motion import loudness, pauses, quiet_frames
from ..measures.pixels import Pixels
from ..puppets.drives import Drive

AMPLITUDES = {"amplitude_0": 0.0, "amplitude_0.5": 0.5, "own": 1.0, "amplitude_1.5": 1.5}
"""Amplitudes of speech that the clip's own sound is heard with, by drive."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "speech": ("own", "shuffled", "silent"),
    "amplitude": tuple(AMPLITUDES),
    "decoupling": ("own", "hidden", "shown"),
    "shortcut": ("silent",),
}
"""Parts of the test, and the drives that they need. Driver of ``own``, ``shuffled``, ``silent`` and of the
amplitudes: another identity with the true head, eyes and brows and a mouth at rest, shown without its mouth;
what is heard: the clip's own speech, another clip's, nothing. ``hidden``: the driver's mouth moves as another
clip's speech, is not shown, and the clip's own speech is heard. ``shown``: that mouth is shown, nothing is
heard."""


@dataclass(frozen=True, eq=False)
class SpokenDrive:
    """A drive and how it is shown."""

    drive: Drive
    mode: DrivingMode


@dataclass(frozen=True, eq=False)
class SpeakingPuppet:
    """One held-out clip of a puppet that speaks; F frames of S x S pixels.

    Attributes:
        clip: identities and reference pose; its motion is the one that speaks.
        reference: the portrait.
        driver_frames: the driver with its mouth at rest, uint8 (F, S, S, 3).
        truth_frames, rest_frames: the portrait's puppet as it speaks, and with its mouth at rest.
        hidden_mouth: float32 (F, 3), opening, width and smile of the driver of ``hidden`` and ``shown``.
        quiet: bool (F,), inside a pause.
        loudness: float64 (F,), root mean square of the sound about a frame, in 0..1.
        rest_of_picture: bool (S, S), what lies outside the lower face in every frame.
        drives: by name.
    """

    clip: PuppetClip
    reference: PuppetFrame
    driver_frames: Images
    truth_frames: Images
    rest_frames: Images
    hidden_mouth: FloatArray
    quiet: NDArray[np.bool_]
    loudness: NDArray[np.float64]
    rest_of_picture: Pixels
    drives: Mapping[str, SpokenDrive]


def speaking_puppet(
    own: SpeakingClip,
    other: SpeakingClip,
    size: int,
    mode: DrivingMode,
    shown_mode: DrivingMode,
    parts: Collection[str] = tuple(PARTS),
) -> SpeakingPuppet:
    """Render a clip and show its drivers.

    The driver is aligned with a truth whose mouth is at rest: the place of the jaw would tell the opening.

    Args:
        own: the clip.
        other: another clip of as many frames, whose speech is heard and whose mouth the driver has for once.
        size: side of the pictures in pixels.
        mode: how a driver is shown without its mouth.
        shown_mode: how it is shown with its mouth.
        parts: names of ``PARTS``.
    """
    clip, motion = own.clip, own.clip.motion
    truth_frames, _, _, truth_landmarks = render_motion(clip.identity, motion, size)
    rest = at_rest(motion)
    rest_frames, _, _, rest_landmarks = render_motion(clip.identity, rest, size)
    hidden_mouth = other.clip.motion[:, MOUTH_COLUMNS]

    def drawn(motion: FloatArray, mode: DrivingMode) -> tuple[Images, Mapping[str, NDArray[np.uint8]]]:
        frames, _, boxes, landmarks = render_motion(clip.driver_identity, motion, size)
        target = rest_landmarks[mode.anchor]
        return frames, show(mode, frames, puppet_faces(size, boxes, landmarks, target))

    driver_frames, still = drawn(rest, mode)
    speech = Drive(still, own.sound, _exact(own.start))
    silence = np.zeros_like(own.sound)
    wanted = {drive for part in parts for drive in PARTS[part]}
    drives = {
        "own": SpokenDrive(speech, mode),
        "shuffled": SpokenDrive(Drive(still, other.sound, _exact(other.start)), mode),
        "silent": SpokenDrive(replace(speech, sound=silence), mode),
    } | {name: SpokenDrive(replace(speech, speech=factor), mode) for name, factor in AMPLITUDES.items()}
    if "hidden" in wanted:
        moving = motion.copy()
        moving[:, MOUTH_COLUMNS] = hidden_mouth
        drives["hidden"] = SpokenDrive(replace(speech, shown=drawn(moving, mode)[1]), mode)
        shown = replace(speech, shown=drawn(moving, shown_mode)[1], sound=silence)
        drives["shown"] = SpokenDrive(shown, shown_mode)
    times = own.start + np.arange(len(motion)) / clip.frame_rate
    return SpeakingPuppet(
        clip=clip,
        reference=Puppet(clip.identity, size).frame(clip.reference_pose),
        driver_frames=driver_frames,
        truth_frames=truth_frames,
        rest_frames=rest_frames,
        hidden_mouth=hidden_mouth,
        quiet=quiet_frames(times, pauses(own.sound)),
        loudness=loudness(own.sound, times),
        rest_of_picture=outside_lower_face(np.concatenate((truth_landmarks, rest_landmarks)), size),
        drives={name: drives[name] for name in drives if name in wanted},
    )


def outside_lower_face(landmarks: FloatArray, size: int) -> Pixels:
    """Pixels (S, S) outside the lower face of every frame, see ``vision.face_parts.part_boxes``.

    Args:
        landmarks: (F, 68, 2) in pixels.
        size: side of the picture.
    """
    boxes = np.concatenate([part_boxes(points, "mouth", size) for points in landmarks])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    y, x = np.mgrid[:size, :size]
    return np.asarray((x < left) | (x > right) | (y < top) | (y > bottom))


def _exact(seconds: float) -> Fraction:
    """The moment of a sample."""
    return Fraction(round(seconds * SAMPLE_RATE), SAMPLE_RATE)
