"""Cuts between the shots of a video."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 64
_BINS = (8, 4, 8)  # of hue, saturation and value
# A flash changes the colours of few pixels, a fast head moves pixels without changing the colours: a cut does
# both. Shares of 1, found on concatenated talking heads.
_COLOURS, _PIXELS = 0.25, 0.05


class CutFinder:
    """Tells, frame by frame, whether a new shot begins; keeps a small copy of one frame.

    Hard cuts are found: the histogram of colours and the pixels themselves change at once. Fades and wipes
    are not.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None

    def begins_shot(self, image: NDArray[np.uint8]) -> bool:
        """Whether this frame, uint8 RGB (H, W, 3), begins a new shot; the first one does not."""
        small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        counts = cv2.calcHist([hsv], [0, 1, 2], None, _BINS, [0, 180, 0, 256, 0, 256])
        now = (counts / counts.sum(), small.astype(np.float32) / np.float32(255))
        before, self._before = self._before, now
        if before is None:
            return False
        colours, pixels = (float(np.abs(new - old).sum()) for new, old in zip(now, before, strict=True))
        return colours / 2 > _COLOURS and pixels / now[1].size > _PIXELS


def find_cuts(images: Iterable[NDArray[np.uint8]]) -> list[int]:
    """Numbers of the frames that begin a new shot; the first frame is not among them.

    Args:
        images: uint8 RGB (H, W, 3), one by one.
    """
    finder = CutFinder()
    return [number for number, image in enumerate(images) if finder.begins_shot(image)]
