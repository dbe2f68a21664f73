"""The clip to animate: frames of a driver, of speech alone, or of both, and their number."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.reading import open_driving
from ..media.samples import Samples
from ..media.source import DrivingSource
from ..media.waveform import SAMPLE_RATE, heard, heard_part, read_waveform

PathLike = str | os.PathLike[str]

DRIVERS_SOUND = "driving"
"""Stands for the driver's own sound where speech is asked for."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Length, rate, picture and sound of what is to be made.

    Attributes:
        source: the driver's frames that are used; None where speech alone drives.
        num_frames: at least 1.
        frame_rate: frames per second.
        sound: what goes into the result, None without any.
        sound_start: seconds after its beginning at which the first frame appears.
        waveform: what moves the lips, 16 kHz mono; None where nothing is said.
    """

    source: DrivingSource | None
    num_frames: int
    frame_rate: Fraction
    sound: Path | Samples | None
    sound_start: Fraction
    waveform: NDArray[np.float32] | None = field(repr=False)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return self.num_frames / self.frame_rate if self.source is None else self.source.duration


def find_clip(
    driving: PathLike | DrivingSource | None,
    speech: PathLike | Samples | None,
    start: int = 0,
    stop: int | None = None,
    frame_rate: Fraction = Fraction(25),
) -> Clip:
    """The clip that driver and speech make up.

    Args:
        driving: a file, or what ``open_driving`` gave; None where speech alone drives.
        speech: sound from the driver's first frame on: a file, samples, or ``DRIVERS_SOUND``. Where it ends
            before the driver, silence follows.
        start, stop: the frames to use, as in a slice.
        frame_rate: of a clip that speech alone drives; its last frame may end in silence.

    Raises:
        InputError: a file that cannot be used, no frames left, or no sound where some is asked for.
    """
    if driving is None:
        assert speech is not None
        return _spoken(_sound_of(speech), start, stop, frame_rate)
    source = driving if isinstance(driving, DrivingSource) else open_driving(driving)
    source = source.part(start, stop)
    sound, waveform = source.sound, None
    if speech is not None:
        if speech != DRIVERS_SOUND:
            sound = _sound_of(speech)
        if sound is None:
            raise InputError(source.name, "has no sound", "Give a sound file as speech, or drive without any")
        waveform = read_waveform(sound, source.sound_start, source.duration)
    return Clip(source, source.num_frames, source.frame_rate, sound, source.sound_start, waveform)


def _spoken(sound: Path | Samples, start: int, stop: int | None, frame_rate: Fraction) -> Clip:
    if start < 0 or (stop or 0) < 0:
        start, stop, _ = slice(start, stop).indices(_length(sound, frame_rate))
    begin = round(start / frame_rate * SAMPLE_RATE)
    end = None if stop is None else round(max(start, stop) / frame_rate * SAMPLE_RATE)
    waveform = heard_part(
        sound, start / frame_rate, None if end is None else Fraction(end - begin, SAMPLE_RATE)
    )
    if not len(waveform):
        name = "speech" if isinstance(sound, Samples) else str(sound)
        length = _length(sound, frame_rate)
        if not length:
            raise InputError(name, "its sound is empty", "Give a file with sound")
        numbers = range(*slice(start, stop).indices(length))
        problem = f"frames {numbers.start} to {numbers.stop} are none of its {length}"
        raise InputError(name, problem, "Choose others")
    last = math.ceil((begin + len(waveform)) * frame_rate / SAMPLE_RATE)
    numbers = range(start, last if stop is None else min(stop, last))
    end = round(numbers.stop / frame_rate * SAMPLE_RATE)
    waveform = np.pad(waveform, (0, max(0, end - begin - len(waveform))))
    return Clip(None, len(numbers), frame_rate, sound, start / frame_rate, waveform)


def _length(sound: Path | Samples, frame_rate: Fraction) -> int:
    """Frames that a sound lasts."""
    samples = sum(len(piece) for piece in heard(sound, Fraction(0)))
    return math.ceil(samples * frame_rate / SAMPLE_RATE)


def _sound_of(speech: PathLike | Samples) -> Path | Samples:
    return speech if isinstance(speech, Samples) else Path(speech)
