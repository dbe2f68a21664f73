"""Video files as driving sources: looked through once, then decoded as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from megactor_core.errors import InputError
from megactor_core.media.frames import FrameConverter
from megactor_core.media.source import DrivingSource
from megactor_core.media.video_scan import VideoScan, decoded_frames, open_video, scan_video


@dataclass(frozen=True, eq=False)
class VideoSource(DrivingSource):
    """Frames that FFmpeg decodes.

    Attributes:
        scan: the times at which the file shows pictures, which decide how many frames there are.
        converter: from a decoded frame to RGB as shown.
    """

    scan: VideoScan = field(repr=False)
    converter: FrameConverter = field(repr=False)

    def _own_time(self, index: int) -> Fraction:
        return self.scan.time(index)

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        image = None
        for frame in self._shown(start, stop):
            if frame is not None or image is None:
                image = self.converter.to_rgb(frame)
                yield image
            else:
                yield image.copy()

    def _shown(self, start: int, stop: int) -> Iterator[VideoFrame | None]:
        """The decoded frame of each number, None where the frame before has to stand in."""
        if start >= stop:
            return
        decoded = self._numbered(start)
        number, frame = next(decoded, (None, None))
        if number is not None and number > start:
            # Seeking came out behind the wanted frame: decode from the beginning.
            decoded = self._numbered(0)
            number, frame = next(decoded, (None, None))
        if frame is None:
            raise InputError(self.path, "not one frame can be decoded", "Save or convert the video again")
        latest = frame
        for index in range(start, stop):
            shown = None
            while number is not None and number <= index:
                latest = shown = frame
                number, frame = next(decoded, (None, None))
            yield shown if shown is not None or index > start else latest

    def _numbered(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Decoded frames with their numbers, from a key frame at or before ``start`` on where the file can seek."""
        with open_video(self.path) as (container, stream):
            pts = self.scan.pts
            if pts is None:
                yield from enumerate(decoded_frames(container, stream))
                return
            if start > 0:
                container.seek(int(pts[start]), stream=stream, backward=True)
            for frame in decoded_frames(container, stream):
                if frame.pts is None:
                    continue
                number = int(np.searchsorted(pts, frame.pts, side="right")) - 1
                if number >= 0:
                    yield number, frame


def open_video_source(path: Path) -> VideoSource:
    """Look through a video: one pass over its packets, decoding only where they do not tell the frames.

    Raises:
        InputError: not a video, truncated, no picture stream, no frames, too large.
    """
    with open_video(path) as (container, stream):
        has_audio = len(container.streams.audio) > 0
        first = next(decoded_frames(container, stream), None)
        if first is None:
            raise InputError(path, "the video has no frames that can be decoded", "Save or convert it again")
        converter = FrameConverter.for_stream(first, stream.sample_aspect_ratio)
    scan = scan_video(path)
    return VideoSource(
        path=path,
        width=converter.width,
        height=converter.height,
        frame_rate=scan.frame_rate,
        num_frames=scan.num_frames,
        duration=scan.duration,
        has_audio=has_audio,
        variable_frame_rate=scan.variable_frame_rate,
        scan=scan,
        converter=converter,
    )
