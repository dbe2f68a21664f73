"""The clock that picture and sound of a file share: when the picture begins, and where it starts over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from .time_stamps import NO_TIME, clock_offsets, mend_stamps, usual_interval
from .timing import LONGEST_PAUSE
from .video_scan import decoded_frames, open_video, read_packets

# Enough to see that the stamp of the first one is wrong.
_FIRST_FRAMES = 8


@dataclass(frozen=True)
class PictureClock:
    """Map from a file's times to those of its picture.

    Attributes:
        origin: when the first picture is shown, in seconds on the file's clock; None without one.
        restarts: seconds that are added to the file's times after each time that its clock starts over.
    """

    origin: Fraction | None = None
    restarts: tuple[Fraction, ...] = ()

    @property
    def longest_pause(self) -> float:
        """Seconds; longer ones are closed, in the picture and therefore in its sound."""
        return math.inf if self.origin is None else LONGEST_PAUSE


def picture_clock(path: Path) -> PictureClock:
    """Look at the first pictures, and in transport streams, whose clock may start over, at the packets.

    Raises:
        InputError: see ``open_video``.
    """
    with open_video(path) as (container, stream):
        time_base = cast(Fraction, stream.time_base)
        joinable = container.format.name == "mpegts"
        first = [
            NO_TIME if f.pts is None else f.pts
            for f in islice(decoded_frames(container, stream), _FIRST_FRAMES)
        ]
    restarts: tuple[Fraction, ...] = ()
    if joinable:
        with open_video(path) as (container, stream):
            decoding = read_packets(container, stream).decoding
        known = decoding[decoding != NO_TIME]
        offsets = clock_offsets(known, usual_interval(known) or 1)
        steps = offsets[1:][np.diff(offsets) != 0]
        restarts = tuple(int(step) * time_base for step in steps)
    return PictureClock(_first_time(np.array(first, np.int64), time_base), restarts)


def _first_time(stamps: np.ndarray, time_base: Fraction) -> Fraction | None:
    known = stamps[stamps != NO_TIME]
    if len(known) == 0:
        return None
    mended = mend_stamps(stamps, usual_interval(known) or 1)
    if mended is None:
        return int(known[0]) * time_base
    times, units = mended
    return int(times[0]) * time_base / units
