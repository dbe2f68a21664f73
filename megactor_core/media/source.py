"""Sources of driving frames: their facts, and their frames one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import InputError
from .samples import Samples
from .timing import FrameTimes


@dataclass(frozen=True, eq=False)
class DrivingSource(ABC):
    """A video, an animation, a single picture or pictures in memory; holds no open file.

    Attributes:
        path: the file; None for pictures in memory.
        width, height: pixels as shown, after rotation metadata and non-square pixels are applied.
        has_audio: whether there is sound.
        frame_times: when the frames are shown.
    """

    path: Path | None
    width: int
    height: int
    has_audio: bool
    frame_times: FrameTimes

    @property
    def name(self) -> str:
        """Name for error messages."""
        return "driving pictures" if self.path is None else str(self.path)

    @property
    def sound(self) -> Path | Samples | None:
        """File or samples of the sound; None without any."""
        return self.path if self.has_audio else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about the conversion of the frames read so far."""
        return ()

    @property
    def sound_start(self) -> Fraction:
        """Seconds after the first picture of ``sound`` at which the first frame of this source appears."""
        return Fraction(0)

    @property
    def num_frames(self) -> int:
        """Exactly as many as ``frames()`` delivers; at least 1."""
        return self.frame_times.num_frames

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average one where the rate varies."""
        return self.frame_times.frame_rate

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's appearance to the last one's end."""
        return self.frame_times.duration

    @property
    def variable_frame_rate(self) -> bool:
        """Whether the frames are unevenly spaced; their times are then the file's own."""
        return self.frame_times.variable_frame_rate

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Fraction, np.ndarray]]:
        """Deliver the frames in the order of showing, decoded one at a time; may be called again and again.

        Args:
            start, stop: the first frame and the one after the last, with the meaning they have in a slice.

        Yields:
            (index, time, image): the frame's number in the file, its time in seconds after the first frame of
            the file, and (H, W, 3) uint8 RGB, an array of its own each time. A frame that is too damaged to
            decode repeats the one before, so that the number of frames and the sound stay right.

        Raises:
            InputError: nothing can be decoded.
        """
        numbers = range(*slice(start, stop).indices(self.num_frames))
        for index, image in zip(numbers, self._images(numbers.start, numbers.stop), strict=True):
            yield index, self.frame_times.time(index), image

    def part(self, start: int = 0, stop: int | None = None) -> DrivingSource:
        """Some of the frames as a source of their own, with the sound that belongs to them.

        Args:
            start, stop: the first frame and the one after the last, with the meaning they have in a slice.

        Raises:
            InputError: no frame is left.
        """
        numbers = range(*slice(start, stop).indices(self.num_frames))
        if not numbers:
            problem = f"frames {numbers.start} to {numbers.stop} are none of its {self.num_frames}"
            raise InputError(self.name, problem, "Choose others")
        if len(numbers) == self.num_frames:
            return self
        times = self.frame_times.part(numbers.start, numbers.stop)
        return _Part(self.path, self.width, self.height, self.has_audio, times, self, numbers.start)

    def span(self, begin: float, end: float | None) -> DrivingSource:
        """The frames whose own time on the file's clock is in a span, in seconds, with their sound.

        Args:
            begin: included.
            end: excluded; None: to the end. A last frame that is held for long ends here.

        Raises:
            InputError: no frame is left.
        """
        part = self.part(*self.frame_times.between(begin, end))
        if end is None:
            return part
        exact = Fraction(end).limit_denominator(1_000_000)
        times = part.frame_times.ending_by(exact - part.frame_times.origin)
        return replace(part, frame_times=times)

    def at_even_times(self) -> tuple[DrivingSource, np.ndarray]:
        """As many frames at an even rate, for what holds no times: each is the one that is shown at its time.

        Returns:
            The source, itself where its rate is even already; and which of its frames each is, (num_frames,)
            int64.
        """
        if not self.variable_frame_rate:
            return self, np.arange(self.num_frames)
        numbers = self.frame_times.even_numbers()
        rate = self.num_frames / self.duration
        times = FrameTimes.even(self.num_frames, rate, 1 / rate)
        return _Chosen(self.path, self.width, self.height, self.has_audio, times, self, numbers), numbers

    @abstractmethod
    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Exactly ``stop - start`` images, (H, W, 3) uint8 RGB; none where that is not above 0."""


@dataclass(frozen=True, eq=False)
class _Derived(DrivingSource):
    """Other frames of ``whole``, with its sound."""

    whole: DrivingSource = field(repr=False)

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def sound(self) -> Path | Samples | None:
        return self.whole.sound

    @property
    def notes(self) -> tuple[str, ...]:
        return self.whole.notes

    @property
    def sound_start(self) -> Fraction:
        return self.whole.sound_start


@dataclass(frozen=True, eq=False)
class _Part(_Derived):
    """Frames of ``whole`` from number ``first`` on."""

    first: int

    @property
    def sound_start(self) -> Fraction:
        return self.whole.sound_start + self.whole.frame_times.time(self.first)

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        return self.whole._images(self.first + start, self.first + stop)


@dataclass(frozen=True, eq=False)
class _Chosen(_Derived):
    """Frames of ``whole`` by their ``numbers``, (num_frames,) int64, which never go back."""

    numbers: np.ndarray = field(repr=False)

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        if start >= stop:
            return
        first, last = int(self.numbers[start]), int(self.numbers[stop - 1])
        times_shown = np.bincount(self.numbers[start:stop] - first).tolist()
        for count, image in zip(times_shown, self.whole._images(first, last + 1), strict=True):
            for _ in range(count):
                yield image.copy()


@dataclass(frozen=True, eq=False)
class PicturesSource(DrivingSource):
    """Pictures in memory, shown at an even rate; made by ``pictures_source``."""

    pictures: Sequence[np.ndarray] = field(repr=False)
    samples: Samples | None

    @property
    def sound(self) -> Samples | None:
        return self.samples

    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        return (self.pictures[index] for index in range(start, stop))


def pictures_source(
    pictures: Sequence[np.ndarray], frame_rate: Fraction, samples: Samples | None = None
) -> PicturesSource:
    """Pictures in memory as a driver.

    Args:
        pictures: at least one, (H, W, 3) uint8 RGB, all of the same size; asked for one by one, so that they
            may be made when they are asked for.
        frame_rate: frames per second.
        samples: the sound from the first picture on.
    """
    height, width = pictures[0].shape[:2]
    times = FrameTimes.even(len(pictures), frame_rate, 1 / frame_rate)
    return PicturesSource(None, width, height, samples is not None, times, pictures, samples)
