"""Shot boundaries of a video."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..vision.cuts import CutFinder


def find_cuts(images: Iterable[NDArray[np.uint8]]) -> list[int]:
    """Numbers of the frames that begin a new shot, see ``CutFinder``; the first frame is not among them.

    Args:
        images: uint8 RGB (H, W, 3), one by one.
    """
    finder = CutFinder()
    return [number for number, image in enumerate(images) if finder.begins_shot(image)]
