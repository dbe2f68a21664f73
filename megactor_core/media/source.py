"""What a driving file offers to the rest of the program: its facts, and its frames one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from .timing import FrameTimes


@dataclass(frozen=True, eq=False)
class DrivingSource(ABC):
    """A video, an animation or a single picture, opened by ``open_driving``; holds no open file.

    Attributes:
        path: the file.
        width, height: pixels as shown, after rotation metadata and non-square pixels are applied.
        has_audio: whether there is sound.
        frame_times: when the frames are shown.
    """

    path: Path
    width: int
    height: int
    has_audio: bool
    frame_times: FrameTimes

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

    @abstractmethod
    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Exactly ``stop - start`` images, (H, W, 3) uint8 RGB; none where that is not above 0."""
