"""Reads chosen frames of a clip in memory, decoding no more than they need."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..media.frames import FrameConverter
from ..media.samples import Samples
from ..media.timing import FALLBACK_FRAME_RATE
from ..media.writing import VideoWriter
from .shards import BrokenSample


class ClipFile:
    """Frames of an MP4 by their number; a context manager.

    Args:
        data: the file.

    Raises:
        BrokenSample: it is no video; from every method.
    """

    def __init__(self, data: bytes) -> None:
        with decoding():
            # The format is given, so that no list of other files can pass for a clip.
            self._container = av.open(io.BytesIO(data), "r", format="mp4")
            if not self._container.streams.video:
                self._container.close()
                raise BrokenSample("the clip has no picture")
            self._stream = self._container.streams.video[0]
            # Decoding in one thread: a loader has a process per core.
            self._stream.codec_context.thread_count = 1
            # The file is small and in memory already; packets in hand need no seeking, which is inexact.
            self._packets = [p for p in self._container.demux(self._stream) if p.pts is not None]
        shown = [packet.pts for packet in self._packets if not packet.is_discard]
        self._pts = np.sort(np.array(shown, np.int64))
        self._keyframes = [index for index, packet in enumerate(self._packets) if packet.is_keyframe]
        self._reformatter = VideoReformatter()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        return len(self._pts)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        context = self._stream.codec_context
        return context.height, context.width

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return self._stream.average_rate or FALLBACK_FRAME_RATE

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """All frames in their order, uint8 RGB (H, W, 3), decoded one at a time."""
        expected = 0
        with decoding():
            for number, frame in self._decoded_from(0):
                if number != expected:
                    break
                yield self._to_rgb(frame)
                expected += 1
        if expected != self.num_frames:
            raise BrokenSample(f"frame {expected} cannot be decoded")

    def read(self, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Frames, uint8 RGB (H, W, 3) each.

        Args:
            numbers: of the wanted frames, in any order; a frame may be wanted twice.
        """
        wanted = sorted(set(numbers))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.num_frames:
            raise BrokenSample(f"frames {wanted[:1]} to {wanted[-1:]} of a clip of {self.num_frames}")
        images: dict[int, NDArray[np.uint8]] = {}
        with decoding():
            while wanted:
                keyframe = self._keyframe(wanted[0])
                for number, frame in self._decoded_from(keyframe):
                    if number != wanted[0]:
                        continue
                    images[number] = self._to_rgb(frame)
                    wanted.pop(0)
                    if not wanted or self._keyframe(wanted[0]) > keyframe:
                        break
                else:
                    raise BrokenSample(f"frame {wanted[0]} cannot be decoded")
        return [images[number] for number in numbers]

    def _keyframe(self, number: int) -> int:
        """Index of the last key packet shown no later than a frame."""
        pts = self._pts[number]
        return max(
            (index for index in self._keyframes if cast(int, self._packets[index].pts) <= pts), default=0
        )

    def _decoded_from(self, index: int) -> Iterator[tuple[int, VideoFrame]]:
        decoder = self._stream.codec_context
        decoder.flush_buffers()
        for packet in (*self._packets[index:], None):
            for frame in decoder.decode(packet):
                if frame.pts is not None:
                    yield int(np.searchsorted(self._pts, frame.pts)), frame

    def _to_rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        return FrameConverter.for_stream(frame, self._stream.codec_context).to_rgb(frame, self._reformatter)


@contextmanager
def decoding() -> Iterator[None]:
    """Inside, what FFmpeg cannot read of a clip is a ``BrokenSample``."""
    try:
        yield
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise BrokenSample("the clip cannot be decoded") from error


KEYFRAME_INTERVAL = 12
"""A loader decodes half of this for nothing wherever it begins; x264's 250 would cost it whole seconds."""


def encode_clip(
    images: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    frame_rate: Fraction,
    sound: Path | Samples | None = None,
    sound_start: Fraction = Fraction(0),
) -> bytes:
    """An MP4 in memory, of even size.

    Args:
        images: uint8 RGB (H, W, 3), at least one, taken one by one.
        size: H and W.
        frame_rate: frames per second.
        sound: file or samples of its sound, which goes along as ``VideoWriter`` does it.
        sound_start: seconds after the first picture of ``sound`` at which the clip begins.

    Raises:
        InputError: the folder for temporary files is full.
    """
    with TemporaryDirectory(prefix="megactor-") as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(
            path,
            size[1],
            size[0],
            frame_rate,
            sound,
            audio_start=sound_start,
            keyframe_interval=KEYFRAME_INTERVAL,
        ) as writer:
            for image in images:
                writer.write(image)
        return path.read_bytes()
