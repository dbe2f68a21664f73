"""Video files as driving sources: looked through once, then decoded as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ..errors import InputError
from .frames import FrameConverter
from .interlacing import deinterlaced
from .mp4_boxes import check_whole
from .sound import best_sound
from .source import DrivingSource
from .video_scan import decoded_frames, open_video, scan_video


@dataclass(frozen=True, eq=False)
class VideoSource(DrivingSource):
    """Frames that FFmpeg decodes; ``converter`` makes them RGB as shown, ``stamps`` are ``VideoScan``'s."""

    path: Path
    converter: FrameConverter = field(repr=False)
    stamps: np.ndarray | None = field(repr=False)
    interlaced: bool
    _notes: list[str] = field(default_factory=list, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

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
            yield self._to_rgb(shown, reformatter)

    def _to_rgb(self, frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        self._note(*self.converter.notes(frame))
        try:
            return self.converter.to_rgb(frame, reformatter)
        except (av.error.FFmpegError, ValueError) as error:
            problem = f"its frames cannot be converted to RGB ({frame.format.name}: {error})"
            raise InputError(self.path, problem, "Convert it to H.264 in an MP4 file") from error

    def _note(self, *notes: str) -> None:
        self._notes.extend(note for note in notes if note not in self._notes)

    def _numbered(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Decoded frames with their numbers; from a key frame before ``start`` on, if the file can seek."""
        with open_video(self.path) as (container, stream):
            stamps = self.stamps
            if stamps is None:
                yield from enumerate(self._whole_frames(container, stream))
                return
            if start > 0:
                # The frame before has a part in an interlaced one.
                first = start - 1 if self.interlaced else start
                container.seek(int(stamps[first]), stream=stream, backward=True)
            for frame in self._whole_frames(container, stream):
                if frame.pts is None:
                    continue
                number = int(np.searchsorted(stamps, frame.pts, side="right")) - 1
                if number >= 0:
                    yield number, frame

    def _whole_frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        return deinterlaced(self._noted(decoded_frames(container, stream)))

    def _noted(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            if frame.interlaced_frame:
                self._note("interlaced video: it was deinterlaced")
            yield frame


def open_video_source(path: Path) -> VideoSource:
    """Look through a video: one pass over its packets, decoding only where they do not tell the frames.

    Raises:
        InputError: not a video, truncated, no picture stream, no frames, too large.
    """
    with open_video(path) as (container, stream):
        note = check_whole(path, container)
        has_audio = best_sound(container) is not None
        first = next(decoded_frames(container, stream), None)
        if first is None:
            raise InputError(
                path, "has no frames that can be decoded; it may be cut off", "Save or convert it again"
            )
        converter = FrameConverter.for_stream(first, stream.codec_context, stream.sample_aspect_ratio)
    scan = scan_video(path)
    return VideoSource(
        path=path,
        width=converter.width,
        height=converter.height,
        has_audio=has_audio,
        frame_times=scan.frame_times,
        converter=converter,
        stamps=scan.stamps,
        interlaced=first.interlaced_frame,
        _notes=[note] if note else [],
    )
