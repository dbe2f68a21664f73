"""Which frames a video shows and when, from its packets, or from decoding where the packets do not tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import InputError
from .pictures import MAX_PIXELS, MAX_SIDE
from .timing import FALLBACK_FRAME_RATE, FrameTimes

# Codecs whose every packet is one shown frame. VP8 and VP9, for one, have packets that are never shown.
ONE_PACKET_ONE_FRAME = ("h264", "hevc", "av1", "mjpeg", "prores", "ffv1", "dnxhd")
# Readers of text and lists of other files: nothing that a user means as a video.
REFUSED_FORMATS = ("tty", "concat", "hls", "dash", "lrc", "srt", "webvtt")
NO_TIME = np.iinfo(np.int64).min


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best picture stream; covers of sound files do not count.

    Raises:
        InputError: not a media file; an MP4 or MOV file that is cut off; no picture stream; too large.
    """
    problem = "is not a video that can be read (unknown format, damaged or cut off)"
    unreadable = InputError(path, problem, "Give an MP4, MOV, WebM, MKV, AVI, GIF or picture")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise unreadable from error
    with container:
        if "mp4" in container.format.name and _is_cut_off(path):
            raise InputError(path, "is cut off: its last part is missing", "Save or download it again")
        if not container.streams.video and not container.streams.audio:
            raise unreadable
        stream = cast("VideoStream | None", container.streams.best("video"))
        text = container.format.name in REFUSED_FORMATS
        if text or stream is None or stream.disposition & Disposition.attached_pic:
            raise InputError(path, "has no moving picture", "Give a video, an animation or a picture")
        context = stream.codec_context
        if context is None:
            raise InputError(path, "its codec is unknown", "Convert it to H.264 in an MP4 file")
        if max(context.width, context.height) > MAX_SIDE or context.width * context.height > MAX_PIXELS:
            problem = f"is {context.width}x{context.height} pixels; at most {MAX_SIDE} a side are read"
            raise InputError(path, problem, "Scale the video down")
        yield container, stream


def _is_cut_off(path: Path) -> bool:
    """Whether a box of an MP4 or MOV file (ISO/IEC 14496-12, 4.2) reaches beyond the file's end."""
    end = path.stat().st_size
    begin = 0
    with path.open("rb") as file:
        while begin + 8 <= end:
            file.seek(begin)
            size = int.from_bytes(file.read(4), "big")
            if size == 1:  # the size follows the type, in 64 bits
                size = int.from_bytes(file.read(12)[4:], "big")
            if size < 8:  # 0: to the end of the file
                return False
            begin += size
    return begin > end


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames that can be decoded, from where the container stands; damaged packets are passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None  # the rest of the file is damaged; what the decoder still holds comes out below
        try:
            yield from stream.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            pass
        if packet is None:
            return


def scan_video(path: Path) -> FrameTimes:
    """Find the times of all frames.

    Raises:
        InputError: see ``open_video``; no frames.
    """
    with open_video(path) as (container, stream):
        packets = _read_packets(container, stream)
        header_rates = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        time_base = stream.time_base or Fraction(1, 1_000_000)
        one_to_one = stream.codec_context.codec.canonical_name in ONE_PACKET_ONE_FRAME
    if one_to_one and packets.in_order:
        order = np.argsort(packets.pts, kind="stable")
        pts, last_duration = packets.pts[order], int(packets.durations[order[-1]])
    else:
        pts, last_duration = _decoded_times(path), 0
    if len(pts) == 0:
        raise InputError(path, "the video has no frames", "Give a video with at least one frame")
    if NO_TIME in pts or np.any(np.diff(pts) <= 0):
        frame_rate = header_rates[0] if header_rates else FALLBACK_FRAME_RATE
        return FrameTimes.even(len(pts), frame_rate, time_base)
    return FrameTimes.from_pts(pts, last_duration, time_base, header_rates)


@dataclass(frozen=True, eq=False)
class _Packets:
    """Times and durations of the packets to be shown, int64, and whether they tell the frames for sure."""

    pts: np.ndarray
    durations: np.ndarray
    in_order: bool


def _read_packets(container: InputContainer, stream: VideoStream) -> _Packets:
    pts, dts, durations = [], [], []
    keyframe_first = False
    read = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            read += 1
            keyframe_first |= read == 1 and packet.is_keyframe
            if not packet.is_discard:
                pts.append(NO_TIME if packet.pts is None else packet.pts)
                dts.append(NO_TIME if packet.dts is None else packet.dts)
                durations.append(packet.duration or 0)
    except av.error.FFmpegError:
        pass  # the rest is damaged; what was read so far counts
    times = np.array(pts, np.int64)
    in_order = (
        len(pts) > 0
        and keyframe_first
        and NO_TIME not in pts
        and NO_TIME not in dts
        and bool(np.all(np.diff(dts) > 0))
        and times[0] == times.min()
        and len(np.unique(times)) == len(times)
    )
    return _Packets(times, np.array(durations, np.int64), in_order)


def _decoded_times(path: Path) -> np.ndarray:
    """The times of the frames that decoding delivers, (F,) int64."""
    with open_video(path) as (container, stream):
        times = [NO_TIME if f.pts is None else f.pts for f in decoded_frames(container, stream)]
    return np.array(times, np.int64)
