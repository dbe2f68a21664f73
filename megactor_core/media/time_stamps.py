"""Time stamps of frames, mended: what can be true stays; what is missing, repeated or backward is moved."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

NO_TIME = np.iinfo(np.int64).min
# Frames looked at on either side of a step backward, to tell a wrong stamp from a clock that starts over.
_WINDOW = 8
# Of all stamps; with more than these wrong, what a file says of its times is not believed.
_MOST_WRONG = 1 / 8


@dataclass(frozen=True, eq=False)
class FrameStamps:
    """Time stamps of a file's frames, in the order of showing.

    Attributes:
        stamps: (F,) int64, when they are shown, in units of the stream's time base; ``NO_TIME`` where
            unknown.
        durations: (F,) int64, for how long; 0 where unknown.
    """

    stamps: np.ndarray
    durations: np.ndarray


@dataclass(frozen=True, eq=False)
class PacketStamps(FrameStamps):
    """Time stamps of a file's packets, in the order of decoding; those that are not shown are left out.

    Attributes:
        decoding: (F,) int64, when they are decoded; ``NO_TIME`` where unknown.
        all_shown: whether none was left out.
        keyframe_first: whether decoding can begin with the first.
    """

    decoding: np.ndarray
    all_shown: bool
    keyframe_first: bool

    @property
    def tell_frames(self) -> bool:
        """Whether every packet is a frame with a time of its own."""
        return (
            self.keyframe_first
            and len(self.stamps) > 0
            and NO_TIME not in self.stamps
            and is_usable(self.decoding)
            and self.stamps[0] == self.stamps.min()
            and len(np.unique(self.stamps)) == len(self.stamps)
        )

    @property
    def in_order(self) -> bool:
        """Whether they are shown in the order of decoding."""
        return is_usable(self.stamps)

    def shown(self) -> FrameStamps:
        """These stamps in the order of showing."""
        order = np.argsort(self.stamps, kind="stable")
        return FrameStamps(self.stamps[order], self.durations[order])


def is_usable(stamps: np.ndarray) -> bool:
    """Whether every frame has a time, and a later one than the frame before."""
    return NO_TIME not in stamps and bool(np.all(np.diff(stamps) > 0))


def is_even(stamps: np.ndarray) -> bool:
    """Whether increasing stamps are evenly spaced, but for rounding."""
    steps = np.diff(stamps)
    return len(steps) == 0 or int(np.ptp(steps)) <= min(2, int(steps.max()) // 4)


def mend_stamps(stamps: np.ndarray, interval: int) -> tuple[np.ndarray, int] | None:
    """Times that increase from frame to frame, as near to the stamps as can be.

    The largest number of stamps that increase stay. The other frames are spread evenly between their
    neighbours; at the ends they follow at the usual step. A clock that starts over, as in recordings joined
    end to end, goes on instead.

    Args:
        stamps: (F,) int64, in the order of showing; ``NO_TIME`` where there is none.
        interval: the usual one between frames, in the same units; at least 1.

    Returns:
        (F,) int64, increasing, and how many of its units make one of the stamps'; None where too few of the
        stamps can stay to believe them.
    """
    known = np.flatnonzero(stamps != NO_TIME)
    if len(known) < min(len(stamps), 2):
        return None
    values = stamps[known] + clock_offsets(stamps[known], interval)
    chosen = _increasing(values)
    kept, times = known[chosen], values[chosen]
    # A recorder that writes its times twice is right about them; only those of the second frames are missing.
    in_pairs = bool(np.all(np.diff(stamps[known]) >= 0)) and 2 * len(np.unique(stamps[known])) >= len(known)
    if not in_pairs and len(known) - len(kept) > max(1, len(known) * _MOST_WRONG):
        return None
    runs, rooms = np.diff(kept), np.diff(times)
    units = int(np.where(runs > rooms, runs, 1).max(initial=1))
    mended = np.empty(len(stamps), np.int64)
    mended[kept] = times * units
    for left, run in zip(np.flatnonzero(runs > 1).tolist(), runs[runs > 1].tolist(), strict=True):
        steps = np.arange(1, run)
        mended[kept[left] + steps] = times[left] * units + rooms[left] * units * steps // run
    step = usual_interval(mended[kept[0] : kept[-1] + 1]) or interval * units
    mended[: kept[0]] = times[0] * units - step * np.arange(kept[0], 0, -1)
    mended[kept[-1] :] = times[-1] * units + step * np.arange(len(stamps) - kept[-1])
    return mended, units


def usual_interval(stamps: np.ndarray) -> int:
    """The usual step forward between known stamps; 0 where there is none."""
    steps = np.diff(stamps)
    forward = steps[steps > 0]
    return max(1, round(float(np.median(forward)))) if len(forward) else 0


def without_long_pauses(stamps: np.ndarray, longest: int) -> np.ndarray:
    """Increasing stamps; the usual step takes the place of those above ``longest``, as none really are."""
    steps = np.diff(stamps)
    if np.all(steps <= longest):
        return stamps
    steps[steps > longest] = usual_interval(stamps)
    return stamps[0] + np.concatenate([[0], np.cumsum(steps)])


def clock_offsets(values: np.ndarray, interval: int) -> np.ndarray:
    """Offsets to add to stamps so that a clock that starts over goes on, (F,) int64."""
    offset = np.zeros(len(values), np.int64)
    for index in (np.flatnonzero(np.diff(values) <= 0) + 1).tolist():
        before = values[max(0, index - _WINDOW) : index]
        after = values[index : index + _WINDOW]
        few_before = len(before) < _WINDOW and len(before) < len(after)
        if not few_before and before.min() >= after[0] and after.max() <= before[-1]:
            offset[index:] += before[-1] + interval - after[0]
    return offset


def _increasing(values: np.ndarray) -> np.ndarray:
    """Indices of the longest increasing selection; of several as long, one that is even where they differ."""
    negated = (-values[::-1]).tolist()
    tails: list[int] = []
    lengths = []
    for value in negated:  # from the end, so that the earliest frames can be preferred below
        position = bisect_left(tails, value)
        tails[position : position + 1] = [value]
        lengths.append(position + 1)
    lengths.reverse()
    chosen: list[int] = []
    for index, (value, length) in enumerate(zip(values.tolist(), lengths, strict=True)):
        if length == len(tails) - len(chosen) and (not chosen or value > values[chosen[-1]]):
            chosen.append(index)
    for place in range(1, len(chosen) - 1):
        before, here, after = chosen[place - 1 : place + 2]
        other = here + 1
        if other < after and values[before] < values[other] < values[after]:
            begin, end = values[before], values[after]
            early = _unevenness(begin, values[here], (values[here] + end) / 2, end)
            late = _unevenness(begin, (begin + values[other]) / 2, values[other], end)
            chosen[place] = other if late < early else here
    return np.array(chosen)


def _unevenness(*times: float) -> float:
    return float(np.square(np.diff(times)).sum())
