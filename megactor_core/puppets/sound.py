"""A sound that goes with a puppet's mouth: not speech, but as loud and as bright as the mouth is open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..media.waveform import SAMPLE_RATE
from .motion import MOTION_NAMES, FloatArray

_PITCH = 140.0
_HARMONICS = 12
_LOUDEST = 0.4
_OPEN = MOTION_NAMES.index("mouth_open")


def mouth_sound(motion: FloatArray, frame_rate: float) -> NDArray[np.float32]:
    """A hummed vowel: harmonics of one pitch, of which an open mouth lets more and higher ones out.

    Args:
        motion: (frames, 15), see ``MOTION_NAMES``.
        frame_rate: frames per second.

    Returns:
        float32 (samples,), 16 kHz mono, at most 0.4 in size, as long as the frames; silent where the mouth is
        closed.
    """
    samples = round(len(motion) * SAMPLE_RATE / frame_rate)
    seconds = np.arange(samples) / SAMPLE_RATE
    opening = np.interp(seconds * frame_rate, np.arange(len(motion)), motion[:, _OPEN])
    sound, whole = np.zeros(samples), 0.0
    for number in range(1, _HARMONICS + 1):
        size = opening ** (1 + 0.25 * number) / number
        sound += size * np.sin(2 * np.pi * _PITCH * number * seconds)
        whole += 1 / number
    return (_LOUDEST / whole * sound).astype(np.float32)
