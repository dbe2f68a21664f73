"""Choice of the square of a picture or clip, so that it cuts no face."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .crops import Crop, box_crop, face_crop, squashed_crop, whole_crop
from .head_crop import head_crop

CropMode = Literal["auto", "face", "whole", "squash"] | tuple[float, float, float, float]
"""How the square is chosen: around the face, the largest centred one, or around a box in pixels; ``"auto"``
is around the face where one is found, else the largest centred one. ``"squash"`` takes the whole picture and
squashes it to a square, as X-Portrait was trained to see it."""

Framing = Literal["face", "head"]
"""The square around a face: the largest that the picture allows (MegActor), or the head (MegActor-Sigma)."""

# What must not be cut: the box of the face and a little around it, in lengths of its sides.
_MARGIN = 0.05
_LEAST_ROOM = 0.2  # around faces in a square that is not the published one, in lengths of the longer side
_CUT = 0.05  # share of a face's box that may be outside a given square without a word
# What such a square shows around faces where it can: their heads.
_ROOM: dict[Framing, tuple[float, float, float, float]] = {
    "face": (0.4, 0.4, 0.4, 0.4),
    "head": (0.4, 0.5, 0.4, 0.3),
}


def frame_square(
    crop: CropMode,
    boxes: ArrayLike | None,
    source_size: tuple[int, int],
    size: int,
    framing: Framing = "face",
) -> Crop:
    """The square that a mode asks for.

    Around faces it is the published one, or where that would cut a face, one that is large enough and may
    reach over the picture's border.

    Args:
        crop: see ``CropMode``.
        boxes: faces of a clip (F, 4) or of one picture, in pixels; None where none was seen.
        source_size: (height, width) of the frames.
        size: side of the square in pixels.
        framing: see ``Framing``.

    Raises:
        InputError: a box that cannot be used.
    """
    if not isinstance(crop, str):
        return box_crop(crop, source_size, size)
    if crop == "squash":
        return squashed_crop(source_size, size)
    if crop == "whole" or boxes is None:
        return whole_crop(source_size, size)
    published = published_square(boxes, source_size, size, framing)
    if published is not None and holds(published.box, boxes, source_size):
        return published
    return grown_square(boxes, source_size, size, framing)


def published_square(
    boxes: ArrayLike, source_size: tuple[int, int], size: int, framing: Framing
) -> Crop | None:
    """The square of the model's public code; None where it finds no room for any."""
    try:
        return training_square(boxes, source_size, size, framing)
    except InputError:
        return None


def training_square(boxes: ArrayLike, source_size: tuple[int, int], size: int, framing: Framing) -> Crop:
    """The square around all faces of a clip that a model is trained on; arguments as in ``frame_square``.

    Raises:
        InputError: there is no room for any.
    """
    return (head_crop if framing == "head" else face_crop)(boxes, source_size, size)


def holds(square: ArrayLike, boxes: ArrayLike, source_size: tuple[int, int]) -> bool:
    """Whether a square, (left, top, right, bottom), cuts nothing of the faces that the picture shows.

    Args:
        square: in whole pixels.
        boxes: (F, 4) in pixels, or one row.
        source_size: (height, width) of the picture.
    """
    rows = np.atleast_2d(np.asarray(boxes, np.float64))
    margin = np.tile(_MARGIN * (rows[:, 2:] - rows[:, :2]), 2) * [-1, -1, 1, 1]
    left, top, right, bottom = _inside(_union(rows + margin), source_size)
    # The published squares are rounded down.
    first_x, first_y, last_x, last_y = np.add(square, [-1, -1, 1, 1])
    return bool(first_x <= left and first_y <= top and last_x >= right and last_y >= bottom)


def grown_square(boxes: ArrayLike, source_size: tuple[int, int], size: int, framing: Framing) -> Crop:
    """The square around the faces' middle that holds them, and their heads where there is room.

    It may reach over the picture's border.

    Args:
        boxes: (F, 4) in pixels, or one row.
        source_size, size, framing: see ``frame_square``.
    """
    rows = np.atleast_2d(np.asarray(boxes, np.float64))
    center = np.floor(face_center(rows, framing))
    outwards, longest = np.array([-1, -1, 1, 1]), _longest(rows)

    def half(room: ArrayLike) -> float:
        shown = _inside(_union(rows) + np.multiply(room, outwards) * longest, source_size)
        return float(np.ceil(((shown - np.tile(center, 2)) * outwards).max()))

    # Heads get their room only as far as a square in the picture could give it.
    reach = max(half(_LEAST_ROOM), min(half(_ROOM[framing]), min(source_size) // 2))
    left, top, right, bottom = (np.tile(center, 2) + outwards * reach).astype(int).tolist()
    return Crop((left, top, right, bottom), source_size, size)


def border_note(square: Crop) -> str:
    """Tells that a square reaches over the picture's border; empty where it does not."""
    (left, top, right, bottom), (height, width) = square.box, square.source_size
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return ""
    return "it reaches over the border, whose pixels are repeated"


def cut_faces(boxes: ArrayLike, size: int) -> NDArray[np.bool_]:
    """Mask of the faces that are partly or wholly outside their squares, bool (F,).

    Args:
        boxes: (F, 4) in pixels of the squares, or one row.
        size: side of the squares in pixels.
    """
    rows = np.atleast_2d(np.asarray(boxes, np.float64))
    whole, inside = (np.prod(part[:, 2:] - part[:, :2], axis=1) for part in (rows, np.clip(rows, 0, size)))
    return np.asarray(inside < (1 - _CUT) * whole, bool)


def face_center(boxes: ArrayLike, framing: Framing) -> NDArray[np.float64]:
    """Centre for a square around the faces, (x, y) in pixels; boxes (F, 4) or one row."""
    rows = np.atleast_2d(np.asarray(boxes, np.float64))
    union, (left, top, right, bottom) = _union(rows), _ROOM[framing]
    shift = np.array([right - left, bottom - top]) / 2 * _longest(rows)
    return np.asarray((union[:2] + union[2:]) / 2 + shift, np.float64)


def _union(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([rows[:, :2].min(axis=0), rows[:, 2:].max(axis=0)])


def _longest(rows: NDArray[np.float64]) -> float:
    return float((rows[:, 2:] - rows[:, :2]).max())


def _inside(box: NDArray[np.float64], source_size: tuple[int, int]) -> NDArray[np.float64]:
    height, width = source_size
    return np.clip(box, 0, [width, height, width, height])
