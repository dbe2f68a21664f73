"""Animated GIF, WebP and PNG files, and single pictures, as driving sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from .pictures import FORMATS, open_picture, to_rgb
from .source import DrivingSource
from .timing import FrameTimes

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")
# Browsers show frames that ask for 10 ms or less for 100 ms, and animations are made with that in mind.
SHORTEST_MILLISECONDS = 10
UNSPECIFIED_MILLISECONDS = 100


@dataclass(frozen=True, eq=False)
class PictureSource(DrivingSource):
    """Frames that Pillow reads; transparent parts are white."""

    path: Path

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        with open_picture(self.path) as image:
            for index in range(start, stop):
                image.seek(index)
                yield to_rgb(image)


def open_picture_source(path: Path) -> PictureSource | None:
    """Look through a picture or an animation; None where the content is neither.

    Raises:
        InputError: truncated or too large.
    """
    if not _is_picture(path):
        return None
    with open_picture(path) as image:
        durations = list(_durations(image)) if image.format in ANIMATED_FORMATS else [0]
        image.seek(0)
        height, width = to_rgb(image).shape[:2]
    # GIF counts in hundredths of a second, so that 30 frames a second come as 30, 30 and 40 ms.
    unit = 10 if all(duration % 10 == 0 for duration in durations) else 1
    pts = np.cumsum([0, *durations[:-1]]) // unit
    times = FrameTimes.from_pts(pts, durations[-1] // unit, Fraction(unit, 1000))
    return PictureSource(path=path, width=width, height=height, has_audio=False, frame_times=times)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        return False


def _durations(image: Image.Image) -> Iterator[int]:
    """How long each frame is shown, in milliseconds. All are decoded, which finds a truncated file."""
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        milliseconds = round(image.info.get("duration") or 0)
        yield UNSPECIFIED_MILLISECONDS if milliseconds <= SHORTEST_MILLISECONDS else milliseconds
