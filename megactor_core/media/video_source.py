"""Video files as driving sources: looked through once, then decoded as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ..errors import InputError
from .frames import FrameConverter
from .sound import best_sound
from .source import DrivingSource
from .video_scan import decoded_frames, open_video, scan_video


@dataclass(frozen=True, eq=False)
class VideoSource(DrivingSource):
    """Frames that FFmpeg decodes; ``converter`` makes them RGB as shown, ``stamps`` are ``VideoScan``'s."""

    path: Path
    converter: FrameConverter = field(repr=False)
    stamps: np.ndarray | None = field(repr=False)

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        if start >= stop:
            return
        nothing: tuple[int, VideoFrame | None] = (self.num_frames, None)
        decoded = self._numbered(start)
        number, upcoming = next(decoded, nothing)
        if number > start > 0:
            # Seeking came out behind the wanted frame: decode from the beginning.
            decoded = self._numbered(0)
            number, upcoming = next(decoded, nothing)
        if upcoming is None:
            raise InputError(self.path, "not one frame can be decoded", "Save or convert the video again")
        shown = upcoming
        reformatter = VideoReformatter()
        for index in range(start, stop):
            while upcoming is not None and number <= index:
                shown = upcoming
                number, upcoming = next(decoded, nothing)
            yield self.converter.to_rgb(shown, reformatter)

    def _numbered(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Decoded frames with their numbers; from a key frame before ``start`` on, if the file can seek."""
        with open_video(self.path) as (container, stream):
            stamps = self.stamps
            if stamps is None:
                yield from enumerate(decoded_frames(container, stream))
                return
            if start > 0:
                container.seek(int(stamps[start]), stream=stream, backward=True)
            for frame in decoded_frames(container, stream):
                if frame.pts is None:
                    continue
                number = int(np.searchsorted(stamps, frame.pts, side="right")) - 1
                if number >= 0:
                    yield number, frame


def open_video_source(path: Path) -> VideoSource:
    """Look through a video: one pass over its packets, decoding only where they do not tell the frames.

    Raises:
        InputError: not a video, truncated, no picture stream, no frames, too large.
    """
    with open_video(path) as (container, stream):
        has_audio = best_sound(container) is not None
        first = next(decoded_frames(container, stream), None)
        if first is None:
            raise InputError(
                path, "has no frames that can be decoded; it may be cut off", "Save or convert it again"
            )
        converter = FrameConverter.for_stream(first, stream.sample_aspect_ratio)
    scan = scan_video(path)
    return VideoSource(
        path=path,
        width=converter.width,
        height=converter.height,
        has_audio=has_audio,
        frame_times=scan.frame_times,
        converter=converter,
        stamps=scan.stamps,
    )
