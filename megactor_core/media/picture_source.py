"""Animated GIF, WebP and PNG files, and single pictures, as driving sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from megactor_core.media.pictures import FORMATS, open_picture, to_rgb
from megactor_core.media.source import DrivingSource

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")
STILL_FRAME_RATE = Fraction(25)
# Browsers show frames that ask for 10 ms or less for 100 ms, and animations are made with that in mind.
SHORTEST_MILLISECONDS = 10
UNSPECIFIED_MILLISECONDS = 100


@dataclass(frozen=True, eq=False)
class PictureSource(DrivingSource):
    """Frames that Pillow reads; transparent parts are white."""

    frame_times: tuple[Fraction, ...]

    def _own_time(self, index: int) -> Fraction:
        return self.frame_times[index]

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
        durations = list(_durations(image)) if image.format in ANIMATED_FORMATS else []
        image.seek(0)
        height, width = to_rgb(image).shape[:2]
    if len(durations) < 2:
        durations = [1 / STILL_FRAME_RATE]
    times = [Fraction(0)]
    for duration in durations:
        times.append(times[-1] + duration)
    return PictureSource(
        path=path,
        width=width,
        height=height,
        frame_rate=(len(durations) / times[-1]).limit_denominator(1001),
        num_frames=len(durations),
        duration=times[-1],
        has_audio=False,
        variable_frame_rate=len(set(durations[:-1])) > 1,
        frame_times=tuple(times[:-1]),
    )


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        return False


def _durations(image: Image.Image) -> Iterator[Fraction]:
    """How long each frame is shown, in seconds. Every frame is decoded, so a truncated file is found here."""
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        milliseconds = Fraction(image.info.get("duration") or 0).limit_denominator(1000)
        if milliseconds <= SHORTEST_MILLISECONDS:
            milliseconds = Fraction(UNSPECIFIED_MILLISECONDS)
        yield milliseconds / 1000
