"""Masks that users give of the whole picture: the person, its inverse, somebody else."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.vision.faces import Face
from megactor_core.vision.foreground import marks_background
from megactor_core.vision.portrait import segment_reference

PICTURE = np.full((120, 160, 3), 90, np.uint8)
FACE = Face((60.0, 30.0, 100.0, 80.0))
PERSON = np.zeros((120, 160), np.float32)
PERSON[16:, 50:110] = 1
PERSON[90:, 20:140] = 1


def foreground(mask: np.ndarray, **options: object) -> np.ndarray:
    return segment_reference(PICTURE, 120, crop="whole", mask=mask, **options).foreground  # type: ignore[arg-type]


@pytest.mark.parametrize("faces", [(), (FACE,)])
def test_a_mask_of_the_background_is_refused(faces: tuple[Face, ...]) -> None:
    assert foreground(PERSON, faces=faces).mean() == pytest.approx(PERSON[:, 20:140].mean())
    with pytest.raises(InputError, match=r"marks what is around the person .* Invert it: 1 \(white\)"):
        foreground(1 - PERSON, faces=faces)


def test_a_mask_of_somebody_else_is_refused() -> None:
    """As is that of a photo taken upside down, drawn on its pixels as they are stored."""
    with pytest.raises(InputError, match="marks nothing of the chosen face at 60,30,100,80"):
        foreground(np.roll(PERSON, 75, axis=1) * (np.arange(160) > 100), faces=(FACE,))


@pytest.mark.parametrize(
    "mask",
    [
        np.ones_like(PERSON),  # a face that fills the picture
        PERSON * 0.6,  # soft
        np.maximum(PERSON, np.arange(160) < 60),  # hair up to a corner
        np.where(np.arange(120)[:, None] < 30, 1, PERSON).astype(np.float32),  # a hat from corner to corner
    ],
)
def test_a_mask_of_the_person_is_taken_as_it_is(mask: np.ndarray) -> None:
    mask = mask.astype(np.float32)
    for box in (None, FACE.box):
        assert not marks_background(mask, box)
    assert foreground(mask, faces=(FACE,)).mean() == pytest.approx(mask[:, 20:140].mean(), abs=1e-3)


def test_a_mask_of_the_pictures_shape_is_scaled_and_of_another_shape_refused() -> None:
    assert np.array_equal(foreground(PERSON[::2, ::2]) > 0.5, foreground(PERSON) > 0.5)
    with pytest.raises(InputError, match="mask of 120x160: the picture is 160x120"):
        foreground(np.ascontiguousarray(PERSON.T))
