"""Any sound as the speech encoder takes it: 16 kHz, one channel."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.samples import Samples
from ..media.sound import open_sound
from .mel import SAMPLE_RATE


def read_waveform(
    sound: Path | Samples, start: Fraction = Fraction(0), duration: Fraction | None = None
) -> NDArray[np.float32]:
    """Decode sound of any rate and number of channels; the channels are averaged.

    Args:
        sound: a sound or video file, or samples.
        start: seconds after the file's first picture, or after the first sample, to begin at.
        duration: seconds; a sound that ends sooner is followed by silence. None takes all of it.

    Returns:
        float32 ``(samples,)`` at 16 kHz, about -1..1.

    Raises:
        InputError: the file cannot be read or holds no sound, or the samples are not finite.
    """
    if isinstance(sound, Samples):
        # of a front centre, where speech is, and five others nothing may get lost
        sound = Samples(np.ascontiguousarray(sound.values.mean(axis=0, keepdims=True)), sound.rate)
    name = "sound" if isinstance(sound, Samples) else sound
    wanted = None if duration is None else round(duration * SAMPLE_RATE)
    pieces: list[NDArray[np.float32]] = []
    length = 0
    with open_sound(sound, start) as source:
        if source is None:
            raise InputError(name, "holds no sound", "Give a file with sound, or drive without it")
        for piece in source.decode(SAMPLE_RATE):
            pieces.append(piece.mean(axis=0))
            length += piece.shape[1]
            if wanted is not None and length >= wanted:
                break
    waveform = np.concatenate([*pieces, np.zeros(0, np.float32)]).astype(np.float32, copy=False)
    if not np.isfinite(waveform).all():
        raise InputError(name, "holds samples that are not numbers", "Export the sound again")
    if wanted is None:
        if length == 0:
            raise InputError(name, "its sound is empty", "Give a file with sound")
        return waveform
    return np.pad(waveform[:wanted], (0, max(0, wanted - length)))


def silence(duration: Fraction) -> NDArray[np.float32]:
    """A waveform of zeros, which is what MegActor-Sigma hears where there is no sound."""
    return np.zeros(round(duration * SAMPLE_RATE), np.float32)
