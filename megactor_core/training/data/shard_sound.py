"""Sound of a window of a clip in a shard, of one length for all clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...dataset.clip_file import ClipFile
from ...dataset.shards import CLIP, METADATA, BrokenSample, Entry
from ...dataset.sound import clip_sound, has_sound
from ...errors import InputError
from ...media.timing import exact_frame_rate
from ...media.waveform import SAMPLE_RATE

LEAD = 1
"""Seconds before and after the window that are heard, as in MegActor-Sigma's public code."""


def sound_length(clips: Sequence[Entry], frames: int) -> int | None:
    """Samples that hold a window of so many frames and what is around it, in the slowest of the clips.

    None where no clip has sound.
    """
    if not any(map(has_sound, clips)):
        return None
    return math.ceil((frames / min(map(_frame_rate, clips)) + 2 * LEAD) * SAMPLE_RATE)


def window_sound(data: bytes, number: int, frame_rate: Fraction, length: int) -> NDArray[np.float32]:
    """Sound from ``LEAD`` seconds before a frame on; silent where the clip has none.

    Args:
        data: the clip.
        number: of the frame.
        frame_rate: of the clip.
        length: samples.

    Returns:
        float32 (length,), 16 kHz mono.
    """
    window = np.zeros(length, np.float32)
    sound = clip_sound(data)
    if sound is not None:
        begin = round((number / frame_rate - LEAD) * SAMPLE_RATE)
        part = sound[max(begin, 0) : max(begin + length, 0)]
        first = max(-begin, 0)
        window[first : first + len(part)] = part
    return window


def _frame_rate(clip: Entry) -> Fraction:
    """Frames per second by the metadata, else by the clip itself; infinite where it cannot be told."""
    try:
        if METADATA in clip.members and "frame_rate" in (facts := clip.read_json(METADATA)):
            return exact_frame_rate(facts["frame_rate"])
        with ClipFile(clip.read(CLIP)) as reader:
            return reader.frame_rate
    except (BrokenSample, InputError, TypeError):
        return Fraction(10**6)
