"""What a driving file offers to the rest of the program: its facts, and its frames one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class DrivingSource(ABC):
    """A video, an animation or a single picture, opened by ``open_driving``; holds no open file.

    Attributes:
        path: the file.
        width, height: pixels as shown, after rotation metadata and non-square pixels are applied.
        frame_rate: frames per second; the average one where the rate varies.
        num_frames: exactly as many as ``frames()`` delivers; at least 1.
        duration: seconds from the first frame's appearance to the last one's end.
        has_audio: whether there is sound.
        variable_frame_rate: whether frames are unevenly spaced; their times are then the file's own.
    """

    path: Path
    width: int
    height: int
    frame_rate: Fraction
    num_frames: int
    duration: Fraction
    has_audio: bool
    variable_frame_rate: bool

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
        for index, image in zip(numbers, self._images(numbers.start, numbers.stop)):
            yield index, self.time(index), image

    def time(self, index: int) -> Fraction:
        """The time at which a frame appears, in seconds after the first one; for ``num_frames``, the end."""
        if index >= self.num_frames:
            return self.duration
        if self.variable_frame_rate:
            return self._own_time(index)
        return index / self.frame_rate

    @abstractmethod
    def _own_time(self, index: int) -> Fraction:
        """The file's own time of a frame, in seconds after the first one."""

    @abstractmethod
    def _images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Exactly ``stop - start`` images, (H, W, 3) uint8 RGB."""
