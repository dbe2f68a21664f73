"""Look at the still portrait: crop, face, person and background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.masks import fitted_mask
from .crops import Crop
from .faces import Box, Detector, Face, FaceChoice, FaceDetector, choose_face, faces_within
from .foreground import covers_face, foreground_mask, marks_background, segmented_person
from .framing import CropMode, Framing, border_note, cut_faces, frame_square, published_square
from .person_segmenter import Segmenter

NO_FACE = "Choose the crop whole, or give a box"


@dataclass(frozen=True)
class Portrait:
    """The portrait as the networks will see it.

    Attributes:
        original: the whole picture, uint8 RGB (H, W, 3).
        crop: where the square was taken.
        pixels: the square, float32 RGB (size, size, 3), 0..255, not rounded.
        picture: the same, truncated to uint8.
        foreground: float32 (size, size), 0..1, 1 = person.
        original_foreground: the same of the whole picture where a mask was given, else None.
        report: one line about the square, empty where there is nothing to tell.
    """

    original: NDArray[np.uint8]
    crop: Crop
    pixels: NDArray[np.float32]
    picture: NDArray[np.uint8]
    foreground: NDArray[np.float32]
    original_foreground: NDArray[np.float32] | None
    report: str = ""


def need_detector(detector: Detector | None) -> Detector:
    """The detector, or InputError where there is none."""
    if detector is None:
        raise InputError(
            "crop face",
            "needs the face detector's file, which is not on this machine",
            "Fetch it with: python -m megactor_core weights download face-detector, or "
            "choose the crop whole or a box",
        )
    return detector


def all_faces(picture: NDArray[np.uint8], detector: Detector | None) -> tuple[Face, ...]:
    """The faces of one picture, none without a detector; where the detector tells small ones, these too."""
    if detector is None:
        return ()
    return (detector.detect_all if isinstance(detector, FaceDetector) else detector.detect)(picture)


def segment_reference(
    picture: NDArray[np.uint8],
    size: int,
    *,
    crop: CropMode = "face",
    face: FaceChoice = "largest",
    mask: NDArray[np.float32] | None = None,
    faces: tuple[Face, ...] = (),
    detector: Detector | None = None,
    segmenter: Segmenter | None = None,
    antialias: bool = False,
    framing: Framing = "face",
) -> Portrait:
    """Cut the portrait out of a picture and part the person from the background.

    Args:
        picture: uint8 RGB (H, W, 3).
        size: side of the square in pixels.
        crop: see ``CropMode``.
        face: which face; the largest is that of those in the box where ``crop`` is one.
        mask: person mask of the whole picture, float32 (H, W) or of the same shape in another size, 0..1,
            1 = person; else the person is found.
        faces: of the picture, where they are known already.
        detector: looks for faces where none are known. Without a face, crop ``"face"`` is refused, and the
            person is expected in the middle.
        segmenter: a network that knows people; see ``foreground_mask``.
        antialias: see ``Crop.apply``.
        framing: what of the face's surroundings belongs to the square.

    Raises:
        InputError: no face with crop ``"face"``, no detector; a mask of another shape, of nobody, of somebody
            else, or of the background.
    """
    source_size = picture.shape[:2]
    if mask is not None:
        mask = fitted_mask(mask, source_size)
    faces = faces or all_faces(picture, detector)
    within = None if isinstance(crop, str) else frame_square(crop, None, source_size, size).box
    candidates = faces_within(faces, within if face == "largest" else None)
    chosen = choose_face(candidates, face) if candidates else None
    box = None if chosen is None else chosen.box
    if crop == "face" and box is None:
        need_detector(detector)
        raise InputError("reference picture", "no face was found", NO_FACE)
    square = frame_square(crop, box, source_size, size, framing)
    pixels = square.apply(picture, antialias).clip(0, 255)
    cropped = pixels.astype(np.uint8)
    given = None if mask is None else np.clip(square.apply(mask, antialias), 0, 1)
    if given is not None and given.max() < 0.5:
        raise InputError(
            "mask",
            "no part of the crop is marked as the person",
            "Give a mask that is 1 (white) on the person",
        )
    report = "" if box is None else _report(square, box, crop, framing)
    if box is not None and not _shows(square, box):
        box = None
    if mask is not None:
        _check_person(mask, box)
    if given is None and segmenter is not None:
        others = [other.box for other in faces if other is not chosen]
        given = _segmented(picture, square, segmenter, box, others)
    cropped_box = None if box is None else tuple(square.to_crop(box).tolist())
    foreground = foreground_mask(cropped, cropped_box, given)
    return Portrait(picture, square, pixels, cropped, foreground, mask, report)


def _check_person(mask: NDArray[np.float32], box: Box | None) -> None:
    if marks_background(mask, box):
        problem = "marks what is around the person instead of the person"
        raise InputError("mask", problem, "Invert it: 1 (white) is the person")
    if box is not None and not covers_face(mask, box):
        place = ",".join(f"{value:.0f}" for value in box)
        problem = f"marks nothing of the chosen face at {place}"
        raise InputError("mask", problem, "Give the mask of this person, or choose another face")


def _shows(square: Crop, box: Box) -> bool:
    """Whether the middle of a face lies in the square."""
    left, top, right, bottom = box
    middle = square.to_crop(((left + right) / 2, (top + bottom) / 2))
    return bool(((middle >= 0) & (middle <= square.size)).all())


def _segmented(
    picture: NDArray[np.uint8], square: Crop, segmenter: Segmenter, box: Box | None, others: Sequence[Box]
) -> NDArray[np.float32] | None:
    """The person in the square as the network sees it; None where it is not sure.

    The network is shown the picture's own pixels only: where a square reaches over the picture's border, the
    streaks that fill it mislead it.
    """
    left, top, right, bottom = square.box
    x, y = max(left, 0), max(top, 0)
    visible = picture[y : max(bottom, 0), x : max(right, 0)]
    corner = np.array([x, y] * 2)
    mask = segmented_person(
        visible,
        segmenter,
        None if box is None else np.asarray(box) - corner,
        [np.asarray(other) - corner for other in others],
    )
    if mask is None:
        return None
    same = replace(square, box=tuple((square.box - corner).tolist()), source_size=visible.shape[:2])
    return same.apply(mask)


def _report(square: Crop, box: Box, crop: CropMode, framing: Framing) -> str:
    if cut_faces(square.to_crop(box), square.size).any():
        return "portrait: the face is partly or wholly outside the square"
    if crop in ("auto", "face") and square != published_square(box, square.source_size, square.size, framing):
        notes = ("portrait: the square is enlarged to hold the face", border_note(square))
        return "; ".join(filter(None, notes))
    return ""
