"""Times of a clip's frames: how many, at what rate, evenly or each at its own time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ..errors import InputError

# What a file gets that says nothing of its frame rate: a single picture, a raw stream.
FALLBACK_FRAME_RATE = Fraction(25)
LARGEST_DENOMINATOR = 1001
# Seconds. A clock that jumps further ahead is wrong: no recording pauses for so long.
LONGEST_PAUSE = 6 * 3600
# Seconds. Recorders that do not know how long their last frame lasts write nothing or one unit of time.
SHORTEST_DURATION = Fraction(1, 1000)


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

    @property
    def origin(self) -> Fraction:
        """Time of the first frame on the file's clock, in seconds; 0 where the file gives no times."""
        return Fraction(0) if self.pts is None else int(self.pts[0]) * self.time_base

    def time(self, index: int) -> Fraction:
        """Time of a frame, in seconds after the first one; ``num_frames`` gives the clip's end."""
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
            frame_rate = _average_rate(stop - start, duration)
        pts = None if self.pts is None else self.pts[start:stop]
        return replace(self, num_frames=stop - start, frame_rate=frame_rate, duration=duration, pts=pts)

    def every(self, stride: int) -> FrameTimes:
        """The times of every ``stride``-th frame from the first one on, each shown until the next one."""
        num_frames = len(range(0, self.num_frames, stride))
        frame_rate = self.frame_rate / stride
        if not self.variable_frame_rate:
            return FrameTimes.even(num_frames, frame_rate, 1 / frame_rate)
        pts = None if self.pts is None else self.pts[::stride]
        return replace(self, num_frames=num_frames, frame_rate=frame_rate, pts=pts)

    def ending_by(self, time: Fraction) -> FrameTimes:
        """These times with an end at ``time`` for a last frame that begins before and is held longer."""
        if not self.variable_frame_rate:
            time = max(time, self.num_frames / self.frame_rate)
        if time >= self.duration:
            return self
        rate = _average_rate(self.num_frames, time) if self.variable_frame_rate else self.frame_rate
        return replace(self, duration=time, frame_rate=rate)

    def even_numbers(self) -> np.ndarray:
        """Of each of as many even times, the frame that is shown then; (num_frames,) int64."""
        begins = np.array([float(self.time(index)) for index in range(self.num_frames)])
        times = np.arange(self.num_frames) * (float(self.duration) / self.num_frames)
        # A time that is a frame's own, but for rounding, is that frame's.
        return np.searchsorted(begins, times + 1e-6, side="right") - 1

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
        cls,
        num_frames: int,
        frame_rate: Fraction,
        time_base: Fraction,
        pts: np.ndarray | None = None,
        last_duration: Fraction | None = None,
    ) -> FrameTimes:
        """Frames at an even rate; the last one may be shown for longer or shorter than one interval."""
        duration = (num_frames - 1) / frame_rate + (last_duration or 1 / frame_rate)
        return cls(num_frames, frame_rate, duration, False, time_base, pts)

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
        if last_duration * time_base < SHORTEST_DURATION:
            last_duration = 0
        if count == 1:
            seconds = last_duration * time_base
            frame_rate = header_rates[0] if header_rates else FALLBACK_FRAME_RATE
            return cls.even(1, frame_rate, time_base, pts, seconds or None)
        span = int(pts[-1] - pts[0])
        # In a coarse time base only the whole, the last frame included, tells the rate.
        measured = [count / ((span + last_duration) * time_base)] if last_duration else []
        for frame_rate in _likely_rates([*measured, (count - 1) / (span * time_base)], header_rates):
            interval = 1 / (frame_rate * time_base)
            if _is_even(pts, interval):
                # Both ends of the last frame are rounded to the time base.
                usual = abs(last_duration - interval) <= min(Fraction(3, 2), interval / 4)
                seconds = Fraction(0) if usual else last_duration * time_base
                return cls.even(count, frame_rate, time_base, pts, seconds or None)
        last_duration = last_duration or int(np.median(np.diff(pts)))
        duration = (span + last_duration) * time_base
        return cls(count, _average_rate(count, duration), duration, True, time_base, pts)


def exact_frame_rate(frame_rate: float | Fraction) -> Fraction:
    """Frames per second as broadcasts have them: 30000/1001 of 29.97, 24000/1001 of 23.976 and of 23.98.

    Raises:
        InputError: no finite number above 0.
    """
    if not 0 < frame_rate < math.inf:
        raise InputError(f"frame rate {frame_rate}", "must be a number above 0", "Use 25, say")
    exact = _rounded(Fraction(frame_rate))
    if exact.denominator == 1:
        return exact
    ntsc = Fraction(round(exact * 1001 / 1000) * 1000, LARGEST_DENOMINATOR)
    return ntsc if exact in (round(ntsc, 2), round(ntsc, 3)) else exact


def _average_rate(num_frames: int, duration: Fraction) -> Fraction:
    return _rounded(num_frames / duration)


def _rounded(rate: Fraction) -> Fraction:
    """A rate as exact as broadcasts write theirs; a slow one as exact as its interval."""
    if rate >= 1:
        return rate.limit_denominator(LARGEST_DENOMINATOR)
    return 1 / (1 / rate).limit_denominator(LARGEST_DENOMINATOR)


def _likely_rates(measured: Sequence[Fraction], header_rates: Sequence[Fraction]) -> list[Fraction]:
    """Frame rates to try, the usual ones first, since a coarse time base lets several pass."""
    whole = [Fraction(max(1, round(rate))) for rate in measured]
    ntsc = [Fraction(max(1, round(rate * 1001 / 1000)) * 1000, 1001) for rate in measured]
    usual = [rate for rate in header_rates if rate in (*whole, *ntsc)]
    return [*usual, *whole, *ntsc, *header_rates, *map(_rounded, measured)]


def _is_even(pts: np.ndarray, ticks_per_frame: Fraction) -> bool:
    """Whether each time is the even one, but for rounding to the time base."""
    even = np.arange(len(pts)) * float(ticks_per_frame)
    return bool(np.abs(pts - pts[0] - even).max() < min(1.0, float(ticks_per_frame) / 4))
