"""When the frames of a clip are shown: how many, at what rate, evenly or each at its own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

# What a file gets that says nothing of its frame rate: a single picture, a raw stream.
FALLBACK_FRAME_RATE = Fraction(25)


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """The times of a clip's frames.

    Attributes:
        num_frames: the number of frames, at least 1.
        frame_rate: frames per second, the average one where the rate varies.
        duration: seconds from the first frame's appearance to the last one's end.
        variable_frame_rate: whether the frames are unevenly spaced.
        time_base: seconds per unit of ``pts``.
        pts: (num_frames,) int64, increasing; None where the file gives no usable times.
    """

    num_frames: int
    frame_rate: Fraction
    duration: Fraction
    variable_frame_rate: bool
    time_base: Fraction
    pts: np.ndarray | None = field(repr=False)

    def time(self, index: int) -> Fraction:
        """When a frame appears, in seconds after the first one; ``num_frames`` gives the clip's end."""
        if index == self.num_frames:
            return self.duration
        if self.variable_frame_rate and self.pts is not None:
            return int(self.pts[index] - self.pts[0]) * self.time_base
        return index / self.frame_rate

    def part(self, start: int, stop: int) -> FrameTimes:
        """The times of frames ``start`` to before ``stop``, at least one, counted from the first of them."""
        duration = self.time(stop) - self.time(start)
        frame_rate = self.frame_rate
        if self.variable_frame_rate:
            frame_rate = ((stop - start) / duration).limit_denominator(1001)
        pts = None if self.pts is None else self.pts[start:stop]
        return replace(self, num_frames=stop - start, frame_rate=frame_rate, duration=duration, pts=pts)

    def between(self, begin: float, end: float | None) -> tuple[int, int]:
        """The frames whose own time on the file's clock, in seconds, is in a span: first, one after the last.

        Args:
            begin: included.
            end: excluded; None: to the end.
        """
        pts = np.arange(self.num_frames) if self.pts is None else self.pts
        unit = 1 / self.frame_rate if self.pts is None else self.time_base
        start = np.searchsorted(pts, int(begin / unit))
        stop = self.num_frames if end is None else np.searchsorted(pts, int(end / unit))
        return int(start), int(stop)

    @classmethod
    def even(
        cls, num_frames: int, frame_rate: Fraction, time_base: Fraction, pts: np.ndarray | None = None
    ) -> FrameTimes:
        """Frames at an even rate."""
        return cls(num_frames, frame_rate, num_frames / frame_rate, False, time_base, pts)

    @classmethod
    def from_pts(
        cls, pts: np.ndarray, last_duration: int, time_base: Fraction, header_rates: Sequence[Fraction] = ()
    ) -> FrameTimes:
        """Judge from the times themselves whether the rate is even.

        Args:
            pts: (F,) int64, increasing, in units of ``time_base``; F at least 1.
            last_duration: how long the last frame is shown, in the same units; 0 where unknown.
            time_base: seconds per unit.
            header_rates: frames per second that the file claims, most trusted first.
        """
        count = len(pts)
        if count == 1:
            return cls.even(1, header_rates[0] if header_rates else FALLBACK_FRAME_RATE, time_base, pts)
        span = int(pts[-1] - pts[0])
        measured = (count if last_duration else count - 1) / ((span + last_duration) * time_base)
        for frame_rate in _likely_rates(measured, header_rates):
            if _is_even(pts, 1 / (frame_rate * time_base)):
                return cls.even(count, frame_rate, time_base, pts)
        last_duration = last_duration or int(np.median(np.diff(pts)))
        duration = (span + last_duration) * time_base
        frame_rate = (count / duration).limit_denominator(1001)
        return cls(count, frame_rate, duration, True, time_base, pts)


def _likely_rates(measured: Fraction, header_rates: Sequence[Fraction]) -> list[Fraction]:
    """Frame rates to try, the usual ones first, since a coarse time base lets several pass."""
    whole = Fraction(max(1, round(measured)))
    ntsc = Fraction(max(1, round(measured * 1001 / 1000)) * 1000, 1001)
    usual = [rate for rate in header_rates if rate in (whole, ntsc)]
    return [*usual, whole, ntsc, *header_rates, measured.limit_denominator(1001)]


def _is_even(pts: np.ndarray, ticks_per_frame: Fraction) -> bool:
    """Whether each time is the even one, but for rounding to the time base."""
    even = np.arange(len(pts)) * float(ticks_per_frame)
    return bool(np.abs(pts - pts[0] - even).max() < min(1.0, float(ticks_per_frame) / 4))
