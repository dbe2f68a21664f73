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
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from ..errors import InputError
from ..files import check_output, new_file, write_error
from .ffmpeg_files import open_output
from .frames import SCALING_FLAGS
from .pictures import check_input
from .samples import Samples
from .sound import Sound, SoundSource, add_sound, open_sound


@dataclass(frozen=True)
class VideoFormat:
    """Codec, pixel format and limits of one output format.

    Attributes:
        container: FFmpeg's name of the container.
        video_codec: FFmpeg's name of the encoder.
        video_options: its options.
        audio_codec: the encoder for sound that cannot be copied; None for a silent format.
        copied_codecs: sound that the format's players know and that is therefore copied unchanged.
        even_size: whether width and height must be even.
        time_unit: seconds; the format's times are multiples of it. None where it can be chosen.
        shortest, longest: for how many units a frame can be shown; None without a limit.
    """

    container: str
    video_codec: str
    video_options: dict[str, str]
    audio_codec: str | None
    copied_codecs: tuple[str, ...]
    even_size: bool
    time_unit: Fraction | None = None
    shortest: int = 1
    longest: int | None = None


# Raw (PCM) sound is in no list, since it may come in packets of any length, which cannot be cut.
# The same frames must give the same bytes: x264's result depends on its number of threads, and its
# macroblock tree, seen on short clips, on memory that it never wrote. Quality 17 is visually lossless.
_H264 = {"crf": "17", "preset": "medium", "threads": "4", "x264-params": "mbtree=0"}
_VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "threads": "4", "row-mt": "1"}
_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac")
_MKV_SOUND = (*_MP4_SOUND, "opus", "vorbis", "flac")
_MILLISECOND = Fraction(1, 1000)
FORMATS = {
    ".mp4": VideoFormat("mp4", "libx264", _H264, "aac", _MP4_SOUND, True),
    ".mov": VideoFormat("mov", "libx264", _H264, "aac", _MP4_SOUND, True),
    ".mkv": VideoFormat("matroska", "libx264", _H264, "aac", _MKV_SOUND, True, _MILLISECOND),
    ".webm": VideoFormat("webm", "libvpx-vp9", _VP9, "libopus", ("opus", "vorbis"), False, _MILLISECOND),
    # Browsers show frames of 10 ms for 100 ms; 16 bits hold the delay.
    ".gif": VideoFormat("gif", "gif", {}, None, (), False, Fraction(1, 100), shortest=2, longest=65535),
}
GIF_DELAY = b"!\xf9\x04"  # begins a frame's graphic control extension; flags and delay follow
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

    Frames appear at their times, and the file ends when the last one does, as exactly as the format counts. A
    frame for which the format has no time (GIF: less than 20 ms) is left out; ``note`` says so.

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
        uneven_times: whether frames come at times of their own. H.264 then does without frames that are
            decoded in another order: MP4 counts in that order, and would end too soon or too late.
        checked: whether ``check_output`` has looked at ``path`` already, sound included.

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
        uneven_times: bool = False,
        checked: bool = False,
    ) -> None:
        if not isinstance(audio_source, Samples | None):
            audio_source = check_input(audio_source)
        inputs = [audio_source] if isinstance(audio_source, Path) else []
        self.path = Path(path) if checked else check_output(path, FORMATS, overwrite, inputs)
        self.size_hw = (height, width)
        self.frame_rate = Fraction(frame_rate)
        self._overwrite = overwrite
        self._keyframe_interval = keyframe_interval
        self._audio_source = audio_source
        self._audio_start = Fraction(audio_start)
        self._format = FORMATS[self.path.suffix.lower()]
        self._uneven_times = uneven_times
        ticks = self.frame_rate.numerator * max(1, TICKS_PER_SECOND // self.frame_rate.numerator)
        self._time_base = Fraction(1, ticks)
        self._unit = self._format.time_unit or self._time_base
        if self._format.video_codec == "gif":
            self._time_base = self._unit
        self._reformatter = VideoReformatter()
        self._num_frames = 0
        self._left_out = 0
        self._shown: VideoFrame | None = None
        self._begin = -self._format.shortest
        self._end = Fraction(0)
        self._durations: dict[int, int] = {}
        self._last_size = 0

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(new_file(self.path, self._overwrite))
            source = self._open_sound(stack)
            self._temporary = temporary
            with self._writing():
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
        self._end = time + (duration or 1 / self.frame_rate)
        self._num_frames += 1
        begin = round(time / self._unit)
        soonest = self._begin + self._format.shortest
        with self._writing():
            if begin >= soonest:
                self._hold_until(begin)
                self._show(self._to_frame(image), begin, round(time / self._time_base))
            elif round(self._end / self._unit) >= soonest + self._format.shortest:
                self._show(self._to_frame(image), soonest)
            else:
                self._left_out += 1
            if self._sound is not None:
                self._sound.write_until(time)

    @property
    def note(self) -> str:
        """A line worth telling the user; empty without any."""
        if not self._left_out:
            return ""
        shortest = float(self._unit * self._format.shortest * 1000)
        return (
            f"{self._left_out} of {self._num_frames} frames were left out: "
            f"{self.path.suffix.lower()} cannot show a frame for less than {shortest:g} ms"
        )

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
        return open_output(temporary, self._format.container, options)

    def _add_video(self) -> VideoStream:
        codec, options = self._format.video_codec, self._format.video_options
        if self._keyframe_interval is not None:
            options = {**options, "g": str(self._keyframe_interval)}
        if self._uneven_times and codec == "libx264":
            options = {**options, "bf": "0"}
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
        self._hold_until(round(self._end / self._unit))
        self._mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.finish(self._end)
        self._container.close()
        if self._format.video_codec == "gif":
            self._set_last_delay()

    def _show(self, frame: VideoFrame, begin: int, pts: int | None = None) -> None:
        """Encode a frame that appears at ``begin``, in the format's units; ``pts`` says it more exactly."""
        frame.time_base = self._time_base
        frame.pts = round(begin * self._unit / self._time_base) if pts is None else pts
        self._durations[frame.pts] = max(1, round(self._end / self._time_base) - frame.pts)
        self._shown, self._begin = frame, begin
        self._mux(self._video.encode(frame))

    def _hold_until(self, time: int) -> None:
        """Repeat the last frame as often as the format needs to show it until ``time``."""
        longest = self._format.longest
        while longest is not None and self._shown is not None and time - self._begin > longest:
            self._show(self._shown, self._begin + longest)

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, None)
            self._last_size = packet.size
        self._container.mux(packets)

    def _set_last_delay(self) -> None:
        # FFmpeg repeats the delay before it; the last frame lies in front of the trailer of one byte.
        delay = max(self._format.shortest, round(self._end / self._unit) - self._begin)
        with self._temporary.open("r+b") as file:
            begin = file.seek(-1 - self._last_size, os.SEEK_END)
            begin += file.read().index(GIF_DELAY) + len(GIF_DELAY) + 1
            file.seek(begin)
            file.write(delay.to_bytes(2, "little"))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise write_error(self.path, error) from error
