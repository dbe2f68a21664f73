"""Person masks: the pack's segmenter, and masks that are linked to a node."""

from __future__ import annotations

import logging
import os
from functools import lru_cache

import folder_paths
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...megactor_core.media.masks import fitted_mask
from ...megactor_core.vision.faces import Face, FaceChoice, choose_face
from ...megactor_core.vision.foreground import marks_background
from ...megactor_core.vision.person_segmenter import PersonSegmenter
from ...megactor_core.weights.catalogue import find_known
from .images import only_mask
from .model_files import FOLDER


def find_segmenter() -> PersonSegmenter | None:
    """The pack's own person segmenter, None where its file is not in the models folder.

    Raises:
        InputError: the file is no person segmenter.
    """
    stamp = segmenter_stamp()
    return None if stamp is None else _load(*stamp)


def segmenter_stamp() -> tuple[str, float] | None:
    """Path and time of the segmenter's file: another one, or one that is new, is another input."""
    path = folder_paths.get_full_path(FOLDER, find_known("person-segmenter")[0].file)
    return None if path is None else (path, os.path.getmtime(path))


def is_no_mask(mask: Tensor, size: tuple[int, int]) -> bool:
    """Whether a MASK is what Load Image gives for an opaque picture of (height, width).

    That is 64x64 zeros for a file without transparency, and zeros of the picture's size for one that could
    have some.
    """
    return tuple(mask.shape[-2:]) in ((64, 64), size) and not mask.any()


@lru_cache(maxsize=1)
def _load(path: str, _time: float) -> PersonSegmenter:
    return PersonSegmenter(path)


def person_mask(
    mask: Tensor | None, size: tuple[int, int], faces: tuple[Face, ...], choice: FaceChoice
) -> NDArray[np.float32] | None:
    """The person of a MASK, or None where it is what Load Image gives for a picture without a mask.

    Of a cut-out Load Image marks what is transparent: a mask of what is around the person is inverted.

    Args:
        mask: MASK of the whole picture, or None.
        size: (height, width) of the picture.
        faces: of the picture, where they are known.
        choice: which of them.

    Returns:
        float32 (H, W), 0..1, 1 = person.

    Raises:
        InputError: several masks, or one of another shape; no face with that index.
    """
    if mask is None or is_no_mask(mask, size):
        return None
    marked = fitted_mask(only_mask(mask, "mask"), size)
    if marks_background(marked, choose_face(faces, choice).box if faces else None):
        logging.info("MegActor: the mask marks what is around the person, as Load Image's does; inverted")
        return 1 - marked
    return marked
