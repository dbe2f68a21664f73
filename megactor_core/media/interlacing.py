"""Interlaced frames made whole: both fields of one instant, one frame for each that comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av.filter import Graph
from av.video.frame import VideoFrame


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Frames as they come, and those that are marked as interlaced through FFmpeg's bwdif.

    Each frame keeps its time. A stream without an interlaced frame is passed on as it is.

    Args:
        frames: decoded, in the order of showing.
    """
    filtered: _Filter | None = None
    for frame in frames:
        if filtered is not None and not filtered.takes(frame):
            yield from filtered.finish()
            filtered = None
        if filtered is None and frame.interlaced_frame:
            filtered = _Filter(frame)
        if filtered is None:
            yield frame
        else:
            yield from filtered.push(frame)
    if filtered is not None:
        yield from filtered.finish()


class _Filter:
    """A filter graph for frames like the first one; it holds one frame back."""

    def __init__(self, first: VideoFrame) -> None:
        self._kind = _kind(first)
        self._times: deque[int | None] = deque()
        self._time_base = first.time_base
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=first.time_base
        )
        # one frame for one frame, by the order of fields that each tells, and only where it is interlaced
        weaver = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(weaver)
        weaver.link_to(sink)
        self._graph.configure()

    def takes(self, frame: VideoFrame) -> bool:
        return self._kind == _kind(frame)

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self._times.append(frame.pts)
        self._graph.push(frame)
        yield from self._pull()

    def finish(self) -> Iterator[VideoFrame]:
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[VideoFrame]:
        while self._times:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            frame.pts, frame.time_base = self._times.popleft(), self._time_base
            yield frame


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
