"""Duration of a video's last frame, from its packets and its header as far as these can be true."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from .time_stamps import FrameStamps, PacketStamps, is_usable

_MATROSKA_SEGMENT = bytes.fromhex("18538067")


@dataclass(frozen=True)
class HeaderEnd:
    """End of the picture according to a file's header.

    Attributes:
        seconds: on the file's clock.
        only_earlier: whether it counts only where it is earlier than what the packets say: an edit list of
            MP4 cuts the last frame, while its other durations may be those of a longer stream.
    """

    seconds: Fraction
    only_earlier: bool


def header_end(path: Path, container: InputContainer, stream: VideoStream) -> HeaderEnd | None:
    """The header's end of the picture; None where it gives none, or the file is cut off."""
    name = container.format.name
    if "mp4" in name:
        if not stream.duration or stream.time_base is None:
            return None
        return HeaderEnd(((stream.start_time or 0) + stream.duration) * stream.time_base, True)
    if "matroska" in name:
        if _is_cut_off(path):
            return None
        tagged = _seconds(stream.metadata.get("DURATION", ""))
        if tagged is not None:
            return HeaderEnd(tagged, False)
    elif name != "flv":
        return None
    if container.duration is None or len(container.streams) > 1:
        return None  # the longest of several streams need not be the picture
    return HeaderEnd(Fraction(container.duration, av.time_base), False)


def last_duration(
    frames: FrameStamps, packets: PacketStamps, times: np.ndarray, end: HeaderEnd | None, time_base: Fraction
) -> float:
    """Duration of the last frame in units of ``time_base``; 0 where nothing says so.

    Args:
        frames, packets: what the file says of them.
        times: (F,) when the frames are shown, in units of ``time_base``.
        end: what the header says.
        time_base: seconds per unit.
    """
    first, last = float(times[0]), float(times[-1])
    claimed = 0.0 if end is None else max(0.0, float(end.seconds / time_base) - last)
    only_earlier = end is not None and end.only_earlier
    own = guess = float(frames.durations[-1])
    if len(times) > 1 and np.median(np.abs(np.diff(frames.stamps) - frames.durations[:-1])) > 1:
        own = 0.0  # durations that do not fit the other frames are FFmpeg's guesses
    decoding, durations = packets.decoding, packets.durations
    if packets.all_shown and is_usable(decoding) and np.array_equal(np.diff(decoding), durations[:-1]):
        # MP4 counts in the order of decoding; where frames are reordered, only the whole is theirs.
        whole = first + float(decoding[-1] + durations[-1] - decoding[0])
        reordered = packets.stamps[-1] != packets.stamps.max()
        own = max(0.0, whole - last) if reordered else float(durations[-1])
        if only_earlier and abs(last + claimed - whole) <= 1:
            return own
    if not own and abs(claimed - guess) <= 1:
        return 0.0  # the writer guessed, too
    return min(own, claimed) if own and claimed and only_earlier else claimed or own


def _seconds(text: str) -> Fraction | None:
    """Of "00:01:02.500000000"; None for anything else."""
    try:
        hours, minutes, seconds = (Fraction(part) for part in text.split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


def _is_cut_off(path: Path) -> bool:
    """Whether the segment of a Matroska file (RFC 9559, 4.5) reaches beyond the file's end."""
    with path.open("rb") as file:
        head = file.read(4096)
    begin = head.find(_MATROSKA_SEGMENT) + len(_MATROSKA_SEGMENT)
    length = 9 - head[begin].bit_length()
    size = int.from_bytes(head[begin : begin + length], "big") & ((1 << 7 * length) - 1)
    unknown = size == (1 << 7 * length) - 1
    return not unknown and begin + length + size > path.stat().st_size
