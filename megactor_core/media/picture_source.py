"""Animated GIF, WebP and PNG files, and single pictures, as driving sources."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from .picture_mending import PNG_SIGNATURE
from .pictures import FORMATS, open_picture, to_rgb
from .source import DrivingSource
from .timing import FrameTimes
from .video_scan import decoded_frames, open_video

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
# Browsers show frames that ask for 10 ms or less for 100 ms, and animations are made with that in mind.
SHORTEST_DURATION = Fraction(10, 1000)
UNSPECIFIED_DURATION = Fraction(100, 1000)
MOST_UNITS_PER_SECOND = 1_000_000


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
    if _is_stream_of_pictures(path):
        return None
    with open_picture(path) as image:
        durations = list(_durations(image)) if image.format in ANIMATED_FORMATS else [Fraction(0)]
        image.seek(0)
        height, width = to_rgb(image).shape[:2]
    # GIF counts in hundredths of a second, WebP in thousandths, PNG in fractions of any kind.
    units = min(math.lcm(*(duration.denominator for duration in durations)), MOST_UNITS_PER_SECOND)
    pts = np.array(
        [round(time * units) for time in accumulate(durations[:-1], initial=Fraction(0))], np.int64
    )
    times = FrameTimes.from_pts(pts, round(durations[-1] * units), Fraction(1, units))
    return PictureSource(path=path, width=width, height=height, has_audio=False, frame_times=times)


def _is_picture(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS):
                return True
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        with path.open("rb") as file:
            return file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE  # with broken extras


def _is_stream_of_pictures(path: Path) -> bool:
    """Whether JPEG pictures of one size follow one another, as in a Motion-JPEG stream.

    The pictures of a camera's MPO file are listed in it, and previews and gain maps behind a picture are
    smaller; none of these is a stream.
    """
    with open_picture(path) as image:
        if image.format != "JPEG":
            return False
    try:
        with open_video(path) as (container, stream):
            sizes = [(frame.width, frame.height) for frame in islice(decoded_frames(container, stream), 2)]
    except InputError:
        return False
    return len(sizes) == 2 and sizes[0] == sizes[1]


def _durations(image: Image.Image) -> Iterator[Fraction]:
    """Duration of each frame in seconds; 0 of a single one: unknown.

    All are decoded, which finds a truncated file.
    """
    count = getattr(image, "n_frames", 1)
    for index in range(count):
        image.seek(index)
        image.load()
        # Pillow gives milliseconds; those of PNG come from a fraction of two 16-bit numbers.
        seconds = (Fraction(image.info.get("duration") or 0) / 1000).limit_denominator(65535)
        if count == 1 and seconds == 0:
            yield seconds
        else:
            yield UNSPECIFIED_DURATION if seconds <= SHORTEST_DURATION else seconds
