"""Scan of a video: its frames and their times, from packets, or from decoding where these do not tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import InputError
from .ffmpeg_files import open_input
from .mp4_boxes import unreadable_mp4
from .picture_end import header_end, last_duration
from .pictures import MAX_PIXELS, MAX_SIDE, check_heic
from .time_stamps import (
    NO_TIME,
    FrameStamps,
    PacketStamps,
    is_even,
    is_usable,
    mend_stamps,
    usual_interval,
    without_long_pauses,
)
from .timing import FALLBACK_FRAME_RATE, LARGEST_DENOMINATOR, LONGEST_PAUSE, FrameTimes

# Codecs whose every packet is one shown frame. VP8 and VP9, for one, have packets that are never shown.
ONE_PACKET_ONE_FRAME = ("h264", "hevc", "av1", "mjpeg", "prores", "ffv1", "dnxhd")
# Readers of text and lists of other files: nothing that a user means as a video.
REFUSED_FORMATS = ("tty", "concat", "hls", "dash", "lrc", "srt", "webvtt")
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# A rate above is the unit of the file's clock, which FFmpeg gives for files that name no rate.
MOST_FRAMES_PER_SECOND = 240


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its best picture stream; covers of sound files do not count.

    Raises:
        InputError: not a media file, or a HEIC picture; no picture stream; too large; an error of FFmpeg
            inside the block.
    """
    problem = "is not a video that can be read (unknown format, damaged or cut off)"
    unreadable = InputError(path, problem, "Give an MP4, MOV, WebM, MKV, AVI, GIF or picture")
    check_heic(path)
    try:
        container = open_input(path, "mjpeg" if _begins_with_jpeg(path) else None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise unreadable_mp4(path) or unreadable from error
    with container:
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
        try:
            yield container, stream
        except av.error.FFmpegError as error:
            problem = f"cannot be decoded ({str(error.strerror).lower()})"
            raise InputError(path, problem, "Convert it to H.264 in an MP4 file") from error


def _begins_with_jpeg(path: Path) -> bool:
    """Whether a file is one or more JPEG pictures: FFmpeg goes by the name, and may read only the first."""
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames that can be decoded, from where the container stands; damaged packets are passed over."""
    packets = container.demux(stream)
    decoder = _decoder(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None  # the rest of the file is damaged; what the decoder still holds comes out below
        try:
            for frame in decoder.decode(packet):
                frame.time_base = frame.time_base or stream.time_base
                yield frame
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            pass
        if packet is None:
            return


def _decoder(stream: VideoStream) -> VideoStream | VideoCodecContext:
    """Decoder of a stream. FFmpeg's own ones of VP8 and VP9 leave out transparency, libvpx does not."""
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream
    return cast(VideoCodecContext, av.CodecContext.create(name, "r"))


@dataclass(frozen=True, eq=False)
class VideoScan:
    """Findings of a scan.

    Attributes:
        frame_times: when its frames are shown.
        stamps: (num_frames,) int64, increasing, what the decoder's frames carry as ``pts``; None where they
            do not tell the frames apart.
    """

    frame_times: FrameTimes
    stamps: np.ndarray | None


def scan_video(path: Path) -> VideoScan:
    """Find the times of all frames.

    Raises:
        InputError: see ``open_video``; no frames.
    """
    with open_video(path) as (container, stream):
        packets = read_packets(container, stream)
        named = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        header_rates = [rate for rate in named if rate and rate <= MOST_FRAMES_PER_SECOND]
        time_base = stream.time_base or Fraction(1, 1_000_000)
        end = header_end(path, container, stream)
        one_to_one = stream.codec_context.codec.canonical_name in ONE_PACKET_ONE_FRAME
        if container.format.name == "avi" and stream.codec_context.has_b_frames:
            one_to_one = False  # AVI does not say when they are shown
    frames = packets.shown() if one_to_one and packets.tell_frames else None
    # A wrong stamp looks like a frame that is decoded in another order, but for the gaps it leaves.
    if frames is None or not (packets.in_order or is_even(frames.stamps)):
        frames = _decoded_stamps(path)
    if len(frames.stamps) == 0:
        raise InputError(path, "the video has no frames", "Give a video with at least one frame")
    stamps: np.ndarray | None = frames.stamps
    pts, units = frames.stamps, 1
    if not is_usable(frames.stamps):
        mended = _mended_times(frames, packets, header_rates, time_base)
        if mended is None:
            rate = _stated_rate(frames, header_rates, time_base)
            return VideoScan(FrameTimes.even(len(frames.stamps), rate, time_base), None)
        (pts, units), stamps = mended, None
    last = last_duration(frames, packets, pts / units, end, time_base)
    pts = without_long_pauses(pts, round(LONGEST_PAUSE * units / time_base))
    times = FrameTimes.from_pts(pts, round(last * units), time_base / units, header_rates)
    return VideoScan(times, stamps)


def read_packets(container: InputContainer, stream: VideoStream) -> PacketStamps:
    """Stamps of the packets, read from where the container stands."""
    stamps, decoding, durations = [], [], []
    keyframe_first = False
    read = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            read += 1
            keyframe_first |= read == 1 and packet.is_keyframe
            if not packet.is_discard:
                stamps.append(NO_TIME if packet.pts is None else packet.pts)
                decoding.append(NO_TIME if packet.dts is None else packet.dts)
                durations.append(packet.duration or 0)
    except av.error.FFmpegError:
        pass  # the rest is damaged; what was read so far counts
    return PacketStamps(
        np.array(stamps, np.int64),
        np.array(durations, np.int64),
        np.array(decoding, np.int64),
        all_shown=read == len(stamps),
        keyframe_first=keyframe_first,
    )


def _decoded_stamps(path: Path) -> FrameStamps:
    """Those of the frames that decoding delivers."""
    stamps, durations = [], []
    with open_video(path) as (container, stream):
        for frame in decoded_frames(container, stream):
            stamps.append(NO_TIME if frame.pts is None else frame.pts)
            durations.append(frame.duration or 0)
    return FrameStamps(np.array(stamps, np.int64), np.array(durations, np.int64))


def _mended_times(
    frames: FrameStamps, packets: PacketStamps, header_rates: Sequence[Fraction], time_base: Fraction
) -> tuple[np.ndarray, int] | None:
    """Times of frames whose stamps do not increase, and how many of their units make one of the stream's."""
    known = frames.stamps[frames.stamps != NO_TIME]
    stated = round(1 / (_stated_rate(frames, header_rates, time_base) * time_base))
    mended = mend_stamps(frames.stamps, usual_interval(known) or max(1, stated))
    decoding = packets.decoding
    if mended is None and len(decoding) == len(frames.stamps) and is_usable(decoding):
        # AVI has no other times, and what FFmpeg makes of them is wrong where frames are reordered.
        return decoding - decoding[0] + (known[0] if len(known) else decoding[0]), 1
    return mended


def _stated_rate(frames: FrameStamps, header_rates: Sequence[Fraction], time_base: Fraction) -> Fraction:
    """Frames per second where the times do not increase: of the header, the durations, or the whole span."""
    known = frames.stamps[frames.stamps != NO_TIME]
    span = int(known.max() - known.min()) if len(known) else 0
    intervals = [Fraction(int(np.median(frames.durations))), Fraction(span, max(1, len(frames.stamps) - 1))]
    measured = [1 / (interval * time_base) for interval in intervals if interval]
    rates = [*header_rates, *(rate for rate in measured if 1 <= rate <= MOST_FRAMES_PER_SECOND)]
    return next(iter(rates), FALLBACK_FRAME_RATE).limit_denominator(LARGEST_DENOMINATOR)
