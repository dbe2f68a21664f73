"""Sound of any number of channels on one or two, as FFmpeg mixes it and players play it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.filter import Graph
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo"}
# FFmpeg takes the third of three unnamed channels for low tones, which are left out of a mix. In FLAC, Opus,
# Vorbis, AAC and WAV it is the centre.
_UNNAMED = {"3 channels": "3.0"}
# Several channels at full scale add up to more. The limiter lowers such peaks, and touches nothing else.
_LIMITER = {"limit": "1", "level": "0", "latency": "1"}


@dataclass(frozen=True, eq=False)
class Piece:
    """Some samples of a sound.

    Attributes:
        values: float32 (channels, n).
        layout: FFmpeg's name of what the channels are: ``5.1``, or ``6 channels`` where nothing tells.
    """

    values: NDArray[np.float32]
    layout: str


def playable(values: NDArray[np.float32], on_damage: Callable[[], None]) -> NDArray[np.float32]:
    """Samples as players play them: silent where they are not finite numbers, clipped to -1..1.

    Args:
        values: of any shape.
        on_damage: called where some are not finite.
    """
    finite = np.isfinite(values)
    if not finite.all():
        on_damage()
        values = np.where(finite, values, np.float32(0))
    return values.clip(-1, 1)


def deliver(pieces: Iterable[Piece], source_rate: int, channels: int, rate: int) -> Iterator[np.ndarray]:
    """Mix and resample.

    One or two channels stay what they are. More become two by FFmpeg's matrix of their layout: the centre at
    0.707 on both sides, back and side channels at 0.707 on theirs, no low tones; where only their number is
    known, by the layout that FFmpeg takes for it. Channels for which FFmpeg has none are averaged.

    Args:
        pieces: of one sound, without gaps, -1..1.
        source_rate: theirs, in samples per second.
        channels: 1 or 2.
        rate: wanted.

    Yields:
        float32 (channels, n) in -1..1, together as long as the sound to a sample.
    """
    mixed = _mixed(pieces, source_rate, channels)
    return mixed if rate == source_rate else _resampled(mixed, source_rate, channels, rate)


def _mixed(pieces: Iterable[Piece], rate: int, channels: int) -> Iterator[np.ndarray]:
    for layout, group in groupby(pieces, lambda piece: (piece.layout, len(piece.values))):
        values: Iterable[np.ndarray] = (piece.values for piece in group)
        if layout[1] > max(LAYOUTS):
            values = _two_of_many(values, layout[0], rate)
        for one in values:
            if len(one) > channels:
                one = one.mean(axis=0, keepdims=True)
            yield one.repeat(channels, axis=0) if len(one) < channels else one


def _two_of_many(pieces: Iterable[np.ndarray], layout: str, rate: int) -> Iterator[np.ndarray]:
    layout = _UNNAMED.get(layout, layout)
    graph = Graph()
    try:
        graph.link_nodes(
            graph.add_abuffer(
                format="flt", sample_rate=rate, layout=layout, channels=None, time_base=Fraction(1, rate)
            ),
            graph.add("aformat", channel_layouts=LAYOUTS[2]),
            graph.add("alimiter", **_LIMITER),
            graph.add("aformat", sample_fmts="fltp"),
            graph.add("abuffersink"),
        ).configure()
    except av.error.FFmpegError:
        for values in pieces:
            yield values.mean(axis=0, keepdims=True)
        return
    for values in pieces:
        graph.push(to_frame(values, layout, rate))
        yield from _ready(graph)
    graph.push(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[np.ndarray]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame.to_ndarray()


def _resampled(
    pieces: Iterable[np.ndarray], source_rate: int, channels: int, rate: int
) -> Iterator[np.ndarray]:
    resampler = AudioResampler("fltp", LAYOUTS[channels], rate)
    taken = given = 0
    for piece in pieces:
        taken += piece.shape[1]
        for frame in resampler.resample(to_frame(piece, LAYOUTS[channels], source_rate)):
            given += frame.samples
            yield frame.to_ndarray()
    # The filter's tail is as long as it happens to be.
    rest = [np.zeros((channels, 0), np.float32), *(one.to_ndarray() for one in resampler.resample(None))]
    missing = taken * rate // source_rate - given
    tail = np.concatenate(rest, axis=1)[:, : max(0, missing)]
    yield np.pad(tail, ((0, 0), (0, max(0, missing - tail.shape[1]))))


def to_frame(values: np.ndarray, layout: str, rate: int) -> AudioFrame:
    """Samples (channels, n) for FFmpeg; interleaved, since PyAV hands over no more than 8 planes."""
    frame = AudioFrame.from_ndarray(
        np.ascontiguousarray(values.T, np.float32).reshape(1, -1), format="flt", layout=layout
    )
    frame.sample_rate = rate
    return frame
