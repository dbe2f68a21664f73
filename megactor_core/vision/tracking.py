"""Follows one face through a clip, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .coarse_landmarks import coarse_landmarks
from .faces import Detector, Face, FaceChoice, choose_face
from .landmarks import hold_landmarks

LostPolicy = Literal["hold", "interpolate", "pass"]
"""What a frame without the face gets: the last box, one between its neighbours', or none (handed through)."""

Box = tuple[float, float, float, float]

# After so many frames without the face it is chosen anew: it moved elsewhere, or the scene has changed.
_PATIENCE = 12
_ACTIONS = {
    "hold": "the last box was held",
    "interpolate": "boxes were interpolated",
    "pass": "handed through",
}


@dataclass(frozen=True)
class TrackReport:
    """Which frames had no face and where the face was chosen again.

    Attributes:
        num_frames: frames of the clip.
        lost: indices of the frames without the face.
        chosen_again: indices of the frames where the face was chosen anew after a long loss.
        policy: what the lost frames got.
    """

    num_frames: int
    lost: tuple[int, ...]
    chosen_again: tuple[int, ...]
    policy: LostPolicy

    def __str__(self) -> str:
        if not self.lost:
            return f"face found in all {self.num_frames} frames"
        text = (
            f"face not found in {len(self.lost)} of {self.num_frames} frames "
            f"({format_frames(self.lost)}): {_ACTIONS[self.policy]}"
        )
        return f"{text}; chosen again in {format_frames(self.chosen_again)}" if self.chosen_again else text


@dataclass(frozen=True)
class FaceTrack:
    """One face's way through a clip.

    Attributes:
        boxes: float32 (F, 4), left, top, right, bottom in pixels; every row is usable, lost frames included.
        found: bool (F,), True where the face was seen.
        passed: bool (F,), True for frames to hand through unchanged (lost, with policy "pass").
        landmarks: float32 (F, 68, 2) in pixels, lost frames repeat the last ones; None where the faces carry
            none.
        coarse_landmarks: the same made of the detector's five points, see ``coarse_landmarks``.
        report: for the user.
    """

    boxes: NDArray[np.float32]
    found: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    landmarks: NDArray[np.float32] | None
    coarse_landmarks: NDArray[np.float32] | None
    report: TrackReport


class NoFaceError(InputError):
    """The face that was asked for is in no frame of a clip."""


def track_faces(
    frames: Iterable[NDArray[np.uint8]],
    detector: Detector,
    choice: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    subject: str = "driving video",
) -> FaceTrack:
    """Finds the same face in every frame; frames are read once, only what was found of them is kept.

    Args:
        frames: uint8 RGB (H, W, 3), one by one.
        detector: finds the faces of a frame.
        choice, lost, smoothing, subject: see ``follow_face``.

    Raises:
        InputError: see ``follow_face``.
    """
    return follow_face(map(detector.detect, frames), choice, lost, smoothing, subject)


def follow_face(
    faces: Iterable[tuple[Face, ...]],
    choice: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    subject: str = "driving video",
) -> FaceTrack:
    """Picks the same face out of those of every frame.

    The face is chosen in the first frame that has it and followed by overlap from there, so that several
    people are not mixed up.

    Args:
        faces: those of each frame, in any order.
        choice: which face, see ``choose_face``.
        lost: what frames without the face get.
        smoothing: 0 (off) to below 1: weight of the neighbouring frames in each box, without delay.
        subject: name of the clip in error messages.

    Raises:
        NoFaceError: no frame has a face, or none has as many as the choice asks for.
        InputError: a smoothing out of range.
    """
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing {smoothing}", "it is outside 0 to 1", "Give a number from 0 to below 1")
    follower = _Follower(choice)
    for several in faces:
        follower.add(several)
    followed = follower.finish(subject)
    boxes = [None if face is None else face.box for face in followed]
    found = np.array([face is not None for face in followed])
    filled = fill_lost(boxes, "interpolate" if lost == "interpolate" else "hold")
    indices = tuple(np.flatnonzero(~found).tolist())
    return FaceTrack(
        boxes=_smooth(filled, smoothing),
        found=found,
        passed=~found if lost == "pass" else np.zeros_like(found),
        landmarks=hold_landmarks([None if face is None else face.landmarks for face in followed]),
        coarse_landmarks=hold_landmarks(
            [
                None if face is None or face.points is None else coarse_landmarks(face.points)
                for face in followed
            ]
        ),
        report=TrackReport(len(boxes), indices, tuple(follower.chosen_again), lost),
    )


class _Follower:
    """The face in each frame so far; frames before the choice wait, they may lack the chosen face."""

    def __init__(self, choice: FaceChoice) -> None:
        self._choice = choice
        self._waiting: list[tuple[Face, ...]] = []
        self._faces: list[Face | None] = []
        self._last: Face | None = None
        self._alone = False
        self._gap = 0
        self.chosen_again: list[int] = []

    def add(self, faces: tuple[Face, ...]) -> None:
        if self._last is None:
            if not _has_choice(faces, self._choice):
                self._waiting.append(faces)
                return
            self._take(choose_face(faces, self._choice), faces)
            return
        face = _same_face(self._last, faces, self._alone)
        if face is None and self._gap >= _PATIENCE and _has_choice(faces, self._choice):
            face = choose_face(faces, self._choice)
            self.chosen_again.append(len(self._waiting) + len(self._faces))
        if face is None:
            self._gap += 1
            self._faces.append(None)
        else:
            self._take(face, faces)

    def _take(self, face: Face, faces: tuple[Face, ...]) -> None:
        self._last, self._alone, self._gap = face, len(faces) == 1, 0
        self._faces.append(face)

    def finish(self, subject: str) -> list[Face | None]:
        if self._last is None:
            most = max((len(faces) for faces in self._waiting), default=0)
            if most == 0:
                raise NoFaceError(subject, "no face was found", "Choose the crop whole, or give a box")
            raise NoFaceError(
                f"face {self._choice}",
                f"no frame of {subject} has more than {most} {'face' if most == 1 else 'faces'}",
                f"Choose an index from 0 to {most - 1} (counted from the left), or the largest face",
            )
        earlier: list[Face | None] = []
        following = self._faces[0]
        for faces in reversed(self._waiting):
            overlapping = [
                face for face in faces if following is not None and _overlap(face.box, following.box) > 0
            ]
            if overlapping and following is not None:
                anchor = following.box
                following = max(overlapping, key=lambda face: _overlap(face.box, anchor))
                earlier.append(following)
            else:
                earlier.append(None)
        return earlier[::-1] + self._faces


def _has_choice(faces: tuple[Face, ...], choice: FaceChoice) -> bool:
    return len(faces) > choice if isinstance(choice, int) else bool(faces)


def _same_face(last: Face, faces: tuple[Face, ...], was_alone: bool) -> Face | None:
    overlapping = [face for face in faces if _overlap(face.box, last.box) > 0]
    if overlapping:
        return max(overlapping, key=lambda face: _overlap(face.box, last.box))
    # A single face that jumped is still the same one, unless it is of quite another size.
    if was_alone and len(faces) == 1 and 0.25 < faces[0].area / last.area < 4:
        return faces[0]
    return None


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def fill_lost(boxes: list[Box | None], policy: Literal["hold", "interpolate"]) -> NDArray[np.float32]:
    """Gives every frame a box.

    Args:
        boxes: one entry per frame, None where the face was not seen; at least one box.
        policy: repeat the last box, or go in a straight line from the last to the next. Frames before the
            first box get the first, frames after the last get the last.

    Returns:
        float32 (F, 4).
    """
    seen = np.array([index for index, box in enumerate(boxes) if box is not None])
    rows = np.array([box for box in boxes if box is not None], np.float32)
    frames = np.arange(len(boxes))
    if policy == "hold":
        return rows[np.maximum(np.searchsorted(seen, frames, side="right") - 1, 0)]
    return np.stack([np.interp(frames, seen, column) for column in rows.T], axis=1).astype(np.float32)


def _smooth(boxes: NDArray[np.float32], smoothing: float) -> NDArray[np.float32]:
    """Exponential average forwards and backwards, so that the boxes do not lag behind the face."""
    smoothed = boxes.copy()
    for rows in (smoothed, smoothed[::-1]):
        for index in range(1, len(rows)):
            rows[index] = smoothing * rows[index - 1] + (1 - smoothing) * rows[index]
    return smoothed


def format_frames(indices: Iterable[int]) -> str:
    """Writes frame numbers briefly: 0, 1, 2, 7 becomes "0-2, 7"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
