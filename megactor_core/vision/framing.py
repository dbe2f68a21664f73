"""Which square of a picture or clip is used."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike

from .crops import Crop, box_crop, face_crop, squashed_crop, whole_crop
from .head_crop import head_crop

CropMode = Literal["auto", "face", "whole", "squash"] | tuple[float, float, float, float]
"""How the square is chosen: around the face, the largest centred one, or around a box in pixels; ``"auto"``
is around the face where one is found, else the largest centred one. ``"squash"`` takes the whole picture and
squashes it to a square, as X-Portrait was trained to see it."""

Framing = Literal["face", "head"]
"""The square around a face: the largest that the picture allows (MegActor), or the head (MegActor-Sigma)."""


def frame_square(
    crop: CropMode,
    boxes: ArrayLike | None,
    source_size: tuple[int, int],
    size: int,
    framing: Framing = "face",
) -> Crop:
    """The square that a mode asks for.

    Args:
        crop: see ``CropMode``.
        boxes: faces of a clip (F, 4) or of one picture, in pixels; None where none was seen.
        source_size: (height, width) of the frames.
        size: side of the square in pixels.
        framing: see ``Framing``.

    Raises:
        InputError: a box outside the picture, or a face on its border.
    """
    if not isinstance(crop, str):
        return box_crop(crop, source_size, size)
    if crop == "squash":
        return squashed_crop(source_size, size)
    if crop == "whole" or boxes is None:
        return whole_crop(source_size, size)
    return (head_crop if framing == "head" else face_crop)(boxes, source_size, size)
