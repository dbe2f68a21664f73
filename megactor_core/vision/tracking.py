"""Follows one face through a clip, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .coarse_landmarks import coarse_landmarks
from .faces import Box, Detector, Face, FaceChoice
from .follower import Follower, NoFaceError
from .landmarks import hold_landmarks

__all__ = [
    "FaceTrack",
    "LostPolicy",
    "NoFaceError",
    "TrackReport",
    "fill_lost",
    "follow_face",
    "format_frames",
    "parts",
    "track_faces",
]

LostPolicy = Literal["hold", "interpolate", "pass"]
"""What a frame without the face gets: the last box, one between its neighbours', or none (handed through)."""

_ACTIONS = {
    "hold": "the last box was held",
    "interpolate": "boxes were interpolated",
    "pass": "handed through",
}


@dataclass(frozen=True)
class TrackReport:
    """Report of a track: frames without the face, and where the face was chosen again.

    Attributes:
        num_frames: frames of the clip.
        lost: indices of the frames without the face.
        chosen_again: indices of the frames where the face was chosen anew: after a long loss, or as another
            shot began.
        policy: what the lost frames got.
        doubtful: indices of the frames from which on the face may be another person's.
    """

    num_frames: int
    lost: tuple[int, ...]
    chosen_again: tuple[int, ...]
    policy: LostPolicy
    doubtful: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.lost:
            text = (
                f"face not found in {len(self.lost)} of {self.num_frames} frames "
                f"({format_frames(self.lost)}): {_ACTIONS[self.policy]}"
            )
        else:
            text = f"face found in all {self.num_frames} frames"
        if self.chosen_again:
            text += f"; chosen again in {format_frames(self.chosen_again)}"
        if self.doubtful:
            text += f"; another face may have been followed from frame {format_frames(self.doubtful)}"
        return text


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
        cuts: indices of the frames that begin another shot.
        starts: indices of the frames where the face's way begins anew, cuts included: it jumped, or came back
            elsewhere. Nothing is smoothed or interpolated over them.
    """

    boxes: NDArray[np.float32]
    found: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    landmarks: NDArray[np.float32] | None
    coarse_landmarks: NDArray[np.float32] | None
    report: TrackReport
    cuts: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()


def track_faces(
    frames: Iterable[NDArray[np.uint8]],
    detector: Detector,
    choice: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    subject: str = "driving video",
    within: Box | None = None,
) -> FaceTrack:
    """Finds the same face in every frame; frames are read once, only what was found of them is kept.

    Args:
        frames: uint8 RGB (H, W, 3), one by one.
        detector: finds the faces of a frame.
        choice, lost, smoothing, subject, within: see ``follow_face``.

    Raises:
        InputError: see ``follow_face``.
    """
    seen = ((image, detector.detect(image)) for image in frames)
    return _follow(seen, choice, lost, smoothing, subject, within)


def follow_face(
    faces: Iterable[tuple[Face, ...]],
    choice: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    subject: str = "driving video",
    within: Box | None = None,
    frames: Iterable[NDArray[np.uint8]] | None = None,
) -> FaceTrack:
    """Picks the same face out of those of every frame.

    The face is chosen in the first frame that has it and followed from there by where it was going and what
    it looks like, so that several people are not mixed up. It is chosen again where another shot begins and
    where it was not seen for long.

    Args:
        faces: those of each frame, in any order.
        choice: which face, see ``choose_face``.
        lost: what frames without the face get.
        smoothing: 0 (off) to below 1: weight of the neighbouring frames in each box, without delay.
        subject: name of the clip in error messages.
        within: left, top, right, bottom: the largest face is chosen among those whose centre lies in it.
        frames: uint8 RGB (H, W, 3), one by one, whose looks and cuts help to tell people apart.

    Raises:
        NoFaceError: no frame has a face, or none has as many as the choice asks for.
        InputError: a smoothing out of range.
    """
    images: Iterable[NDArray[np.uint8] | None] = repeat(None) if frames is None else frames
    return _follow(zip(images, faces, strict=False), choice, lost, smoothing, subject, within)


def _follow(
    seen: Iterable[tuple[NDArray[np.uint8] | None, tuple[Face, ...]]],
    choice: FaceChoice,
    lost: LostPolicy,
    smoothing: float,
    subject: str,
    within: Box | None,
) -> FaceTrack:
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing {smoothing}", "it is outside 0 to 1", "Give a number from 0 to below 1")
    follower = Follower(choice, within)
    for image, faces in seen:
        follower.add(image, faces)
    follower.check(subject)
    followed, starts = follower.faces, tuple(sorted(follower.starts))
    boxes = [None if face is None else face.box for face in followed]
    found = np.array([face is not None for face in followed])
    filled = fill_lost(boxes, "interpolate" if lost == "interpolate" else "hold", starts)
    indices = tuple(np.flatnonzero(~found).tolist())
    again, doubtful = tuple(follower.chosen_again), tuple(follower.doubtful)
    return FaceTrack(
        boxes=_smooth(filled, smoothing, starts),
        found=found,
        passed=~found if lost == "pass" else np.zeros_like(found),
        landmarks=hold_landmarks([None if face is None else face.landmarks for face in followed]),
        coarse_landmarks=hold_landmarks(
            [
                None if face is None or face.points is None else coarse_landmarks(face.points)
                for face in followed
            ]
        ),
        report=TrackReport(len(boxes), indices, again, lost, doubtful),
        cuts=tuple(follower.cuts),
        starts=starts,
    )


def fill_lost(
    boxes: list[Box | None], policy: Literal["hold", "interpolate"], starts: Sequence[int] = ()
) -> NDArray[np.float32]:
    """Gives every frame a box.

    Args:
        boxes: one entry per frame, None where the face was not seen; at least one box.
        policy: repeat the last box, or go in a straight line from the last to the next. Frames before the
            first box get the first, frames after the last get the last.
        starts: frames over which nothing is repeated or interpolated, unless there is nothing else.

    Returns:
        float32 (F, 4).
    """
    known = [index for index, box in enumerate(boxes) if box is not None]
    filled = np.empty((len(boxes), 4), np.float32)
    last = boxes[known[0]]
    for part in parts(len(boxes), starts):
        seen = [index for index in range(part.start, part.stop) if boxes[index] is not None]
        frames = np.arange(part.start, part.stop)
        if not seen:
            filled[part] = last
            continue
        rows = np.array([boxes[index] for index in seen], np.float32)
        if policy == "hold":
            filled[part] = rows[np.maximum(np.searchsorted(seen, frames, side="right") - 1, 0)]
        else:
            filled[part] = np.stack([np.interp(frames, seen, column) for column in rows.T], axis=1)
        last = boxes[seen[-1]]
    return filled


def parts(num_frames: int, starts: Sequence[int]) -> Iterator[slice]:
    """The stretches of a clip between some frames with which others begin, in order."""
    for begin, end in pairwise((0, *starts, num_frames)):
        if end > begin:
            yield slice(begin, end)


def _smooth(boxes: NDArray[np.float32], smoothing: float, starts: Sequence[int]) -> NDArray[np.float32]:
    """Exponential average forwards and backwards, so that the boxes do not lag behind the face."""
    smoothed = boxes.copy()
    for part in parts(len(boxes), starts):
        for rows in (smoothed[part], smoothed[part][::-1]):
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
