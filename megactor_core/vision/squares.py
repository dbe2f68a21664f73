"""The squares of a clip: one that stays where that holds the face, else squares that go with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .crops import Crop
from .framing import Framing, border_note, face_center, grown_square, holds, published_square
from .tracking import FaceTrack, format_frames, parts

# A square that stays may be so much larger than those around the single faces; beyond that the face would be
# too small in it.
_LARGEST = 1.5
_CALM_SECONDS = 1.0
"""Slower motion of the face is the square's, faster motion is left to the head."""


@dataclass(frozen=True)
class Squares:
    """Squares that are used of the frames of a clip.

    Attributes:
        crop: the square, or where there are several, the smallest one that holds them all.
        path: int64 (F, 4), the square of every frame, left, top, right, bottom in pixels; None where one
            stays.
        note: for the user, empty where it is the published square.
    """

    crop: Crop
    path: NDArray[np.int64] | None = None
    note: str = ""


def face_squares(
    track: FaceTrack, source_size: tuple[int, int], size: int, framing: Framing, frame_rate: float
) -> Squares:
    """Squares that hold the face in every frame.

    The first that will do: the published square; one square that is larger and may reach over the border;
    squares of one size for each shot that follow the face, calmly, and are placed anew where it jumps.

    Args:
        track: the face.
        source_size: (height, width) of the frames.
        size: side of the squares in pixels.
        framing: see ``Framing``.
        frame_rate: frames per second.
    """
    published = published_square(track.boxes, source_size, size, framing)
    if published is not None and holds(published.box, track.boxes, source_size):
        return Squares(published)
    own = _own_sides(track, source_size, framing)
    still = grown_square(track.boxes, source_size, size, framing)
    if _side(still.box) <= _LARGEST * np.median(own[track.found]):
        return Squares(still, None, _still_note(still))
    path = np.empty((len(track.boxes), 4), np.int64)
    for shot in parts(len(path), track.cuts):
        path[shot] = _shot_path(track, shot, own, source_size, framing, frame_rate)
    around = _around(path, source_size, size)
    if (path == path[0]).all():
        return Squares(around, None, _still_note(around))
    return Squares(around, path, _path_note(path, track, source_size))


def _shot_path(
    track: FaceTrack,
    shot: slice,
    own: NDArray[np.int64],
    source_size: tuple[int, int],
    framing: Framing,
    frame_rate: float,
) -> NDArray[np.int64]:
    boxes, found = track.boxes[shot], track.found[shot]
    published = published_square(boxes, source_size, 1, framing)
    if published is not None and holds(published.box, boxes, source_size):
        return np.array([published.box] * len(boxes))
    seen = boxes[found] if found.any() else boxes
    usual = float(np.median(own[shot][found] if found.any() else own[shot]))
    still = grown_square(boxes, source_size, 1, framing)
    if _side(still.box) <= _LARGEST * usual:
        return np.array([still.box] * len(boxes))
    needed = max(_side(grown_square(box, source_size, 1, framing).box) for box in seen)
    half = (int(max(usual, needed)) + 1) // 2
    path = np.empty((len(boxes), 4), np.int64)
    starts = [start - shot.start for start in track.starts if shot.start < start < shot.stop]
    for part in parts(len(boxes), starts):
        path[part] = _calm_path(boxes[part], found[part], half, source_size, framing, frame_rate)
    return path


def _calm_path(
    boxes: NDArray[np.float32],
    found: NDArray[np.bool_],
    half: int,
    source_size: tuple[int, int],
    framing: Framing,
    frame_rate: float,
) -> NDArray[np.int64]:
    """Squares of one size around the face: at rest where that holds it, else as calm as holds it."""
    squares = _squares(np.broadcast_to(face_center(boxes, framing), (len(boxes), 2)), half)
    if holds(squares[0], boxes, source_size):
        return squares
    frames = np.arange(len(boxes))
    seen = np.flatnonzero(found) if found.any() else frames
    centers = np.stack([face_center(box, framing) for box in boxes[seen]])
    centers = np.stack([np.interp(frames, seen, column) for column in centers.T], axis=1)
    deviation = _CALM_SECONDS * frame_rate
    while deviation > 0.5:
        squares = _squares(_smoothed(centers, deviation), half)
        if all(holds(squares[index], boxes[index], source_size) for index in seen):
            return squares
        deviation /= 2
    return _squares(centers, half)


def _smoothed(rows: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Lines fitted around every row, weighted by a Gaussian: even motion stays as it is, to the ends.

    Args:
        rows: (F, n).
        deviation: of the Gaussian, in rows.
    """
    count = len(rows)
    reach = min(int(np.ceil(3 * deviation)), count)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / deviation) ** 2)

    def summed(values: NDArray[np.float64], power: int) -> NDArray[np.float64]:
        kernel = weights * (-steps) ** power
        return np.convolve(values, kernel)[reach : reach + count]

    ones = np.ones(count)
    total, first, second = (summed(ones, power) for power in range(3))
    scale = total * second - first**2
    columns = [(second * summed(column, 0) - first * summed(column, 1)) / scale for column in rows.T]
    return np.stack(columns, axis=1)


def _own_sides(track: FaceTrack, source_size: tuple[int, int], framing: Framing) -> NDArray[np.int64]:
    """Side of the square around the face of every frame alone, int64 (F,)."""
    sides = np.empty(len(track.boxes), np.int64)
    for index, box in enumerate(track.boxes):
        square = published_square(box, source_size, 1, framing)
        if square is None or not holds(square.box, box, source_size):
            square = grown_square(box, source_size, 1, framing)
        sides[index] = _side(square.box)
    return sides


def _squares(centers: NDArray[np.float64], half: int) -> NDArray[np.int64]:
    middle = np.rint(centers).astype(np.int64)
    return np.concatenate([middle - half, middle + half], axis=1)


def _side(box: tuple[int, int, int, int]) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _around(path: NDArray[np.int64], source_size: tuple[int, int], size: int) -> Crop:
    (left, top), (right, bottom) = path[:, :2].min(axis=0).tolist(), path[:, 2:].max(axis=0).tolist()
    side = max(right - left, bottom - top)
    left, top = left - (side - (right - left)) // 2, top - (side - (bottom - top)) // 2
    return Crop((left, top, left + side, top + side), source_size, size)


def _over_border(path: NDArray[np.int64], source_size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = source_size
    return np.asarray((path[:, :2] < 0).any(axis=1) | (path[:, 2:] > [width, height]).any(axis=1))


def _still_note(square: Crop) -> str:
    note = "the square is enlarged to hold the face in all frames"
    return "; ".join(filter(None, (note, border_note(square))))


def _path_note(path: NDArray[np.int64], track: FaceTrack, source_size: tuple[int, int]) -> str:
    moves = np.flatnonzero((path[1:] != path[:-1]).any(axis=1)) + 1
    jumps = sorted({*moves.tolist()} & {*track.cuts, *track.starts})
    notes = []
    if len(moves) > len(jumps):
        notes.append("the square follows the face")
    if jumps:
        notes.append(f"the square is placed anew in {format_frames(jumps)}")
    over = np.flatnonzero(_over_border(path, source_size)).tolist()
    if over:
        notes.append(f"it reaches over the border, whose pixels are repeated, in {format_frames(over)}")
    return "; ".join(notes)
