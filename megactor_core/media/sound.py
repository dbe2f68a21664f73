"""The driver's sound on its way into a new video: copied or encoded again, in step with the picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from ..errors import InputError
from .ffmpeg_files import open_input
from .mixing import LAYOUTS, Piece, deliver, playable, to_frame
from .picture_clock import PictureClock, picture_clock
from .pictures import check_input
from .samples import Samples
from .time_stamps import NO_TIME
from .video_scan import REFUSED_FORMATS

# Rates that the encoders take; sound of any other rate is resampled to 48 kHz.
ENCODER_RATES = {"aac": (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000), "libopus": (48000,)}
BIT_RATE_PER_CHANNEL = 96_000
# For streams that do not say in their header.
FALLBACK_RATE = 48_000
MOST_CHANNELS = max(LAYOUTS)
# Seconds: smaller gaps and overlaps come from coarse time stamps and are left alone.
TOLERANCE = 0.04
# Seconds: larger overlaps are those of a clock that starts over. Of smaller ones the second is left out.
LONGEST_OVERLAP = 1
# MP4 does not know MP3 of lower rates.
_LOWEST_COPIED = {"mp3": 16_000}
# Formats that store the time of every packet, so that a span within a long file is found without reading all
# before it. Others count from the bit rate.
_EXACT_SEEKING = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# Seconds before a span: decoders warm up. A packet found further before it comes from a clock that jumps.
_WARM_UP, _FARTHEST = 1, 10


class Sound(ABC):
    """The sound of one file, on a clock that starts with the picture.

    It is written in small steps beside the picture with ``write_until`` and cut at the picture's end with
    ``finish``. What is damaged stays silent.
    """

    @abstractmethod
    def write_until(self, time: Fraction) -> None:
        """Write what ends by ``time``, in seconds."""

    @abstractmethod
    def finish(self, end: Fraction) -> None:
        """Write the rest up to ``end``, in seconds, where the sound is cut."""


class SoundSource(ABC):
    """Opened sound, on a clock that starts with the picture."""

    @property
    @abstractmethod
    def rate(self) -> int:
        """Samples per second."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 or 2: of more, two are made."""

    def decode(self, rate: int, on_damage: Callable[[], None] = lambda: None) -> Iterator[np.ndarray]:
        """The samples from time 0 on, without gaps, in pieces; (channels, n) float32 in -1..1.

        Args:
            rate: samples per second that are wanted.
            on_damage: called where samples are not finite, which stay silent.
        """
        pieces = (
            replace(piece, values=playable(piece.values, on_damage))
            for piece in self._pieces()
            if piece.values.shape[1]
        )
        return deliver(pieces, self.rate, self.channels, rate)

    @abstractmethod
    def _pieces(self) -> Iterator[Piece]:
        """All channels from time 0 on, without gaps, at the sound's own rate."""


def best_sound(container: InputContainer) -> AudioStream | None:
    """The best sound stream; one without a decoder, such as a phone's spatial sound, gives way to others."""
    best = container.streams.best("audio")
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    chosen = [stream for stream in streams if best is not None and stream.index == best.index]
    return next(iter(chosen or streams), None)


@contextmanager
def open_sound(sound: Path | Samples, start: Fraction) -> Iterator[SoundSource | None]:
    """Open sound in memory or a file's best sound stream; None where it has none.

    Args:
        sound: a video or sound file, or samples.
        start: seconds after the file's first picture (or after the first sample) that become time 0.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    if isinstance(sound, Samples):
        yield _MemorySound(sound, start) if len(sound.values) else None
        return
    check_input(sound)
    with _open(sound) as container:
        if container.format.name in REFUSED_FORMATS:
            raise InputError(sound, "names other files and holds no sound", "Give a video or sound file")
        stream = best_sound(container)
        if stream is None:
            yield None
            return
        try:
            clock = picture_clock(sound)
        except InputError:
            clock = PictureClock()  # a sound file, with or without a cover
        origin = clock.origin
        if origin is None:
            origin = (stream.start_time or 0) * cast(Fraction, stream.time_base)
        stream_number = container.streams.audio.index(stream)
        if _skip_to(container, stream, origin + start):
            yield _FileSound(container, stream, origin + start, clock)
            return
    with _open(sound) as container:
        yield _FileSound(container, container.streams.audio[stream_number], origin + start, clock)


def _open(path: Path) -> InputContainer:
    try:
        return open_input(path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(path, "its sound cannot be read", "Give a video or sound file") from error


def _skip_to(container: InputContainer, stream: AudioStream, time: Fraction) -> bool:
    """Go on with packets shortly before a time on the file's clock; False: the file is to be opened again."""
    if container.format.name not in _EXACT_SEEKING or time < _FARTHEST:
        return True
    time_base = cast(Fraction, stream.time_base)
    wanted = int((time - _WARM_UP) / time_base)
    try:
        container.seek(wanted, stream=stream)
        found = next((packet.pts for packet in container.demux(stream) if packet.pts is not None), None)
        container.seek(wanted, stream=stream)
    except av.error.FFmpegError:
        return False
    return found is not None and wanted - _FARTHEST / time_base < found <= wanted


def opened_sound(container: InputContainer, origin: Fraction) -> SoundSource | None:
    """The best sound stream of an opened file of one recording; None where it has none.

    Args:
        container: at its beginning; it must stay open while the sound is read.
        origin: seconds on the file's clock that become time 0.
    """
    stream = best_sound(container)
    return None if stream is None else _FileSound(container, stream, origin, PictureClock(origin))


def read_sound(sound: Path | Samples, start: Fraction, duration: Fraction) -> Samples | None:
    """Decode a span of sound.

    Args:
        sound, start: see ``open_sound``.
        duration: of the span, in seconds.

    Returns:
        The samples from ``start`` on: mono or stereo, at the sound's own rate, as many as the span has, or
        fewer where the sound ends sooner; None where there are none.

    Raises:
        InputError: the file cannot be opened.
    """
    with open_sound(sound, start) as source:
        if source is None:
            return None
        wanted = round(duration * source.rate)
        pieces = [np.zeros((source.channels, 0), np.float32)]
        for piece in source.decode(source.rate):
            if wanted <= 0:
                break
            pieces.append(piece[:, :wanted])
            wanted -= piece.shape[1]
        values = np.concatenate(pieces, axis=1)
        return Samples(values, source.rate) if values.shape[1] else None


def add_sound(
    source: SoundSource, output: OutputContainer, copied_codecs: tuple[str, ...], audio_codec: str
) -> Sound:
    """Add a sound stream to an output.

    Args:
        source: the sound, which must stay open until the output is finished.
        output: a container whose header is not written yet.
        copied_codecs: codecs that are copied as they are.
        audio_codec: the encoder for all others.
    """
    if isinstance(source, _FileSound) and source.codec in copied_codecs:
        if source.rate >= _LOWEST_COPIED.get(source.codec, 0):
            return _CopiedSound(source, output)
    return _EncodedSound(source, output, audio_codec)


class _CopiedSound(Sound):
    """Packets pass unchanged, but for their times."""

    def __init__(self, source: _FileSound, output: OutputContainer) -> None:
        self._time_base = cast(Fraction, source.stream.time_base)
        self._output = output
        self._stream = output.add_stream_from_template(source.stream)
        # MP4 says how much of the first packet to leave out, and decoders warm up on the packet before it.
        # The others cannot, so that a packet counts from its middle.
        self._has_edit_list = output.format.name in ("mp4", "mov")
        self._packets = self._read(source)
        self._next = next(self._packets, None)

    def write_until(self, time: Fraction) -> None:
        limit = time / self._time_base
        while self._next is not None and self._next.end <= limit:
            self._mux(self._next)
            self._next = next(self._packets, None)

    def finish(self, end: Fraction) -> None:
        self.write_until(end)
        limit = round(end / self._time_base)
        if self._next is not None and self._next.begin < limit:
            self._mux(replace(self._next, end=limit))

    def _mux(self, timed: _TimedPacket) -> None:
        packet = timed.packet
        packet.pts = packet.dts = timed.begin
        packet.duration = timed.end - timed.begin
        packet.stream = self._stream
        self._output.mux(packet)

    def _read(self, source: _FileSound) -> Iterator[_TimedPacket]:
        """The packets from time 0 on."""
        origin = round(source.origin / self._time_base)
        position = -origin
        latest: int | None = None
        for packet in _packets(source):
            duration = packet.duration or 0
            begin = position if packet.pts is None else packet.pts - origin
            if latest is not None and (begin - position) * self._time_base > source.clock.longest_pause:
                origin += begin - position
                begin = position
            if latest is not None and TOLERANCE < (position - begin) * self._time_base < LONGEST_OVERLAP:
                continue
            if latest is not None and begin <= latest:
                begin = position  # a clock that starts over, as in recordings joined end to end
            latest = begin
            position = begin + duration
            if position + (duration if self._has_edit_list else -duration / 2) > 0:
                yield _TimedPacket(packet, begin, position)


@dataclass(frozen=True)
class _TimedPacket:
    """A packet and when it begins and ends on the picture's clock, in units of its stream's time base."""

    packet: Packet
    begin: int
    end: int


class _EncodedSound(Sound):
    """Samples are decoded, laid out on the picture's clock without gaps, and encoded."""

    def __init__(self, source: SoundSource, output: OutputContainer, audio_codec: str) -> None:
        rates = ENCODER_RATES[audio_codec]
        self._rate = source.rate if source.rate in rates else rates[-1]
        self._layout = LAYOUTS[source.channels]
        self._output = output
        self._stream = cast(AudioStream, output.add_stream(audio_codec, self._rate))
        self._stream.layout = self._layout
        self._stream.bit_rate = BIT_RATE_PER_CHANNEL * source.channels
        self._chunks = source.decode(self._rate)
        self._buffer = np.zeros((source.channels, 0), np.float32)
        self._written = 0

    def write_until(self, time: Fraction) -> None:
        wanted = int(time * self._rate) - self._written
        while self._buffer.shape[1] < wanted:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer = np.concatenate([self._buffer, chunk], axis=1)
        samples, self._buffer = self._buffer[:, :wanted], self._buffer[:, wanted:]
        if samples.shape[1] == 0:
            return
        frame = to_frame(samples, self._layout, self._rate)
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._written
        self._written += samples.shape[1]
        self._output.mux(self._stream.encode(frame))

    def finish(self, end: Fraction) -> None:
        self.write_until(end)
        self._output.mux(self._stream.encode(None))


@dataclass(frozen=True)
class _FileSound(SoundSource):
    """A sound stream of a file, and the time on the file's clock, in seconds, that becomes 0."""

    container: InputContainer
    stream: AudioStream
    origin: Fraction
    clock: PictureClock

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name

    # Both are what they were in the beginning, in recordings joined end to end too.
    @cached_property
    def rate(self) -> int:
        return self.stream.rate or FALLBACK_RATE

    @cached_property
    def channels(self) -> int:
        return min(self.stream.codec_context.channels or MOST_CHANNELS, MOST_CHANNELS)

    def _pieces(self) -> Iterator[Piece]:
        position: int | None = None
        closed = 0
        for time, layout, values in self._decoded():
            if time is not None:
                begin = round((time - self.origin) * self.rate) - closed
                if position is None:
                    position = min(begin, 0)
                if begin - position > self.clock.longest_pause * self.rate:
                    closed += begin - position
                    begin = position
                if TOLERANCE * self.rate < position - begin < LONGEST_OVERLAP * self.rate:
                    values = values[:, position - begin :]
                if begin - position > TOLERANCE * self.rate or position <= 0 < begin:
                    position = max(position, 0)
                    while position < begin:
                        length = min(begin - position, self.rate)
                        yield Piece(np.zeros((len(values), length), np.float32), layout)
                        position += length
            position = (position or 0) + values.shape[1]
            yield Piece(values[:, max(0, values.shape[1] - max(position, 0)) :], layout)

    def _decoded(self) -> Iterator[tuple[Fraction | None, str, np.ndarray]]:
        """Time on the file's clock, layout, and float32 (channels, n) at ``rate``, of any file."""
        for (_, layout, _), frames in groupby(self._frames(), _kind):
            resampler = AudioResampler("flt", None, self.rate)
            for frame in chain(frames, [None]):
                time = None
                if frame is not None and frame.pts is not None:
                    time = frame.pts * cast(Fraction, frame.time_base)
                for resampled in resampler.resample(frame):
                    channels = resampled.layout.nb_channels
                    yield time, layout, resampled.to_ndarray().reshape(-1, channels).T
                    time = None

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in _packets(self):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            yield from frames


@dataclass(frozen=True)
class _MemorySound(SoundSource):
    """Samples, and the seconds after the first one that become 0."""

    samples: Samples
    start: Fraction

    @property
    def rate(self) -> int:
        return self.samples.rate

    @property
    def channels(self) -> int:
        return min(len(self.samples.values), MOST_CHANNELS)

    def _pieces(self) -> Iterator[Piece]:
        values = self.samples.values[:, round(self.start * self.rate) :]
        for begin in range(0, values.shape[1], self.rate):
            yield Piece(values[:, begin : begin + self.rate], f"{len(values)} channels")


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    """Properties of a frame that may change in recordings joined end to end."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def _packets(source: _FileSound) -> Iterator[Packet[AudioStream]]:
    """The packets that can be read, on the picture's clock; what follows damage in the file is left out."""
    packets = cast("Iterator[Packet[AudioStream]]", source.container.demux(source.stream))
    offset, latest = 0, NO_TIME
    restarts = iter(source.clock.restarts)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if packet.size > 0:
            if packet.pts is not None:
                if packet.pts < latest:
                    restart = next(restarts, None)
                    offset = offset if restart is None else round(restart / cast(Fraction, packet.time_base))
                latest = packet.pts
                packet.pts += offset
            yield packet
