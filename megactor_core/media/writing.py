"""Video files: frames written one by one, with the driver's sound, under a temporary name until complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from ..errors import InputError
from .frames import SCALING_FLAGS
from .outputs import check_output, temporary_output, write_error
from .pictures import check_input
from .samples import Samples
from .sound import Sound, SoundSource, add_sound, open_sound


@dataclass(frozen=True)
class VideoFormat:
    """What goes into a file of one suffix.

    Attributes:
        container: FFmpeg's name of the container.
        video_codec: FFmpeg's name of the encoder.
        video_options: its options.
        audio_codec: the encoder for sound that cannot be copied; None for a silent format.
        copied_codecs: sound that the format's players know and that is therefore copied unchanged.
        even_size: whether width and height must be even.
    """

    container: str
    video_codec: str
    video_options: dict[str, str]
    audio_codec: str | None
    copied_codecs: tuple[str, ...]
    even_size: bool


# Raw (PCM) sound is in no list, since it may come in packets of any length, which cannot be cut.
# The same frames must give the same bytes: x264's result depends on its number of threads, and its
# macroblock tree, seen on short clips, on memory that it never wrote. Quality 17 is visually lossless.
_H264 = {"crf": "17", "preset": "medium", "threads": "4", "x264-params": "mbtree=0"}
_VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "threads": "4", "row-mt": "1"}
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac")
_MKV_SOUND = (*_MP4_SOUND, "opus", "vorbis", "flac")
FORMATS = {
    ".mp4": VideoFormat("mp4", "libx264", _H264, "aac", _MP4_SOUND, True),
    ".mov": VideoFormat("mov", "libx264", _H264, "aac", _MP4_SOUND, True),
    ".mkv": VideoFormat("matroska", "libx264", _H264, "aac", _MKV_SOUND, True),
    ".webm": VideoFormat("webm", "libvpx-vp9", _VP9, "libopus", ("opus", "vorbis"), False),
    ".gif": VideoFormat("gif", "gif", {}, None, (), False),
}
BT709 = 1  # ITU-T H.273 code for its primaries and its transfer curve
# Times are kept to about 10 microseconds, in units that divide the frame interval exactly.
TICKS_PER_SECOND = 90_000


class VideoWriter:
    """Writes a video, frame by frame; a context manager.

    ``.mp4``, ``.mov`` and ``.mkv`` hold H.264 (yuv420p, BT.709, visually lossless), ``.webm`` VP9, ``.gif``
    256 colours a frame and no sound. H.264 needs even sizes: an odd one gets one more column or row, a
    repetition of the last, so that nothing is cut or scaled. The same frames give the same bytes.

    The sound of ``audio_source`` is copied where the format's players know its codec, else encoded again
    (AAC, or Opus in WebM). It starts where it does in the source, relative to the source's picture, and is
    cut where the picture ends; shorter sound ends sooner.

    Args:
        path: the file to be written; the suffix decides the format.
        width, height: the size of the frames, in pixels.
        frame_rate: frames per second, kept as the exact fraction.
        audio_source: a video or sound file, or samples; a file without sound gives a silent video.
        overwrite: whether an existing file may be replaced; never ``audio_source`` itself.
        audio_start: seconds after the source's first frame at which the sound begins, when the first frame
            written is not the source's first one.
        keyframe_interval: frames from one key frame to the next at most, for quick access to any frame;
            None leaves it to the encoder.

    Raises:
        InputError: the path cannot be written (see ``check_output``) or ``audio_source`` cannot be read.

    The file appears under its name when the ``with`` block ends; on an exception, KeyboardInterrupt included,
    nothing is left. A failed write (full disk) raises InputError, from any method.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        frame_rate: Fraction,
        audio_source: str | os.PathLike[str] | Samples | None = None,
        overwrite: bool = False,
        audio_start: Fraction = Fraction(0),
        keyframe_interval: int | None = None,
    ) -> None:
        if not isinstance(audio_source, Samples | None):
            audio_source = check_input(audio_source)
        inputs = [audio_source] if isinstance(audio_source, Path) else []
        self.path = check_output(path, FORMATS, overwrite, inputs)
        self.size_hw = (height, width)
        self.frame_rate = Fraction(frame_rate)
        self._overwrite = overwrite
        self._keyframe_interval = keyframe_interval
        self._audio_source = audio_source
        self._audio_start = Fraction(audio_start)
        self._format = FORMATS[self.path.suffix.lower()]
        ticks = self.frame_rate.numerator * max(1, TICKS_PER_SECOND // self.frame_rate.numerator)
        self._time_base = Fraction(1, ticks)
        self._reformatter = VideoReformatter()
        self._num_frames = 0
        self._last_tick = -1
        self._end = Fraction(0)

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(temporary_output(self.path, self._overwrite))
            source = self._open_sound(stack)
            self._container = self._open(temporary)
            stack.push(self._end_file)
            self._video = self._add_video()
            self._sound = self._add_sound(source)
            self._stack = stack.pop_all()
        return self

    def write(
        self, image: np.ndarray, time: Fraction | None = None, *, duration: Fraction | None = None
    ) -> None:
        """Append a frame.

        Args:
            image: (height, width, 3) uint8 RGB.
            time: seconds after the first frame, larger than the one before; None for the next even one.
            duration: seconds that the frame is shown, which matters for the last one; None for one interval.

        Raises:
            InputError: the file cannot be written.
            ValueError: an image of another size or type.
        """
        if image.shape != (*self.size_hw, 3) or image.dtype != np.uint8:
            expected = (*self.size_hw, 3)
            raise ValueError(f"a frame of {image.dtype} {image.shape} in a video of uint8 {expected}")
        if time is None:
            time = self._num_frames / self.frame_rate
        frame = self._to_frame(image)
        frame.time_base = self._time_base
        frame.pts = self._last_tick = max(round(time / self._time_base), self._last_tick + 1)
        self._end = time + (duration or 1 / self.frame_rate)
        self._num_frames += 1
        with self._writing():
            self._container.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.write_until(time)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(exc_type, exc, traceback)

    def _open(self, temporary: Path) -> OutputContainer:
        # Without the bit-exact flag Matroska files carry a random identity.
        options = {"fflags": "+bitexact"}
        if self._format.container in ("mp4", "mov"):
            options["movflags"] = "+faststart"
        return av.open(str(temporary), "w", format=self._format.container, container_options=options)

    def _add_video(self) -> VideoStream:
        codec, options = self._format.video_codec, self._format.video_options
        if self._keyframe_interval is not None:
            options = {**options, "g": str(self._keyframe_interval)}
        stream = cast(VideoStream, self._container.add_stream(codec, self.frame_rate, options))
        height, width = self.size_hw
        even = self._format.even_size
        stream.width, stream.height = width + width % 2 * even, height + height % 2 * even
        stream.codec_context.time_base = self._time_base
        if self._format.video_codec == "gif":
            stream.pix_fmt = "pal8"
            return stream
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
        return stream

    def _open_sound(self, stack: ExitStack) -> SoundSource | None:
        # Entered before the output, so that the last of the sound can still be read when the output is ended.
        if self._audio_source is None or self._format.audio_codec is None:
            return None
        return stack.enter_context(open_sound(self._audio_source, self._audio_start))

    def _add_sound(self, source: SoundSource | None) -> Sound | None:
        if source is None or self._format.audio_codec is None:
            return None
        return add_sound(source, self._container, self._format.copied_codecs, self._format.audio_codec)

    def _to_frame(self, image: np.ndarray) -> VideoFrame:
        if self._format.video_codec == "gif":
            paletted = Image.fromarray(image).quantize(256, Image.Quantize.MEDIANCUT)
            palette = np.full((256, 4), 255, np.uint8)
            colours = np.array(paletted.getpalette(), np.uint8).reshape(-1, 3)
            palette[: len(colours), 1:] = colours
            indexed: Any = (np.asarray(paletted), palette)
            return VideoFrame.from_ndarray(indexed, format="pal8")
        padding = (self._video.height - image.shape[0], self._video.width - image.shape[1])
        if any(padding):
            image = np.pad(image, ((0, padding[0]), (0, padding[1]), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image))
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            interpolation=SCALING_FLAGS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )

    def _end_file(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        if exc is not None:
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()
            return
        try:
            with self._writing():
                self._finish()
        finally:
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()

    def _finish(self) -> None:
        if self._num_frames == 0:
            raise InputError(self.path, "no frame was written to it", "Give a driving range with frames")
        packets = self._video.encode(None)
        for packet in packets:
            if packet.pts == self._last_tick:
                packet.duration = round(self._end / self._time_base) - self._last_tick
        self._container.mux(packets)
        if self._sound is not None:
            self._sound.finish(self._end)
        self._container.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error
