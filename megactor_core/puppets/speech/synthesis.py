"""A new speech corpus: lines are drawn, said, brought to 16 kHz, and kept with their phonemes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...media.samples import Samples
from ...media.waveform import SAMPLE_RATE, read_waveform
from ...seeds import Split, clip_generator
from .corpus import Utterance
from .engine import Line, Speech, SpeechEngine
from .mouth import Phoneme
from .voices import draw_line

_PAUSE = "_:"


def synthesise(
    engine: SpeechEngine, seed: int, counts: dict[Split, int]
) -> Iterator[tuple[Utterance, NDArray[np.int16]]]:
    """Utterances with their sounds, int16 16 kHz, as many of each split as ``counts`` says.

    An utterance depends on the engine's version, the seed, its split and its number in it alone.

    Raises:
        InputError: the engine fails.
    """
    for split, count in counts.items():
        for index in range(count):
            line = draw_line(clip_generator(seed, index, split), split)
            yield _utterance(line, split, engine.speak(line))


def _utterance(line: Line, split: Split, speech: Speech) -> tuple[Utterance, NDArray[np.int16]]:
    values = speech.samples[None].astype(np.float32) / np.float32(32768)
    waveform = read_waveform(Samples(values, speech.rate))
    sound = (waveform * 32768).round().clip(-32768, 32767).astype(np.int16)
    duration = len(sound) / SAMPLE_RATE
    # What is before the first phoneme is a pause. Where two begin at once, the earlier one is not heard.
    names = {0: _PAUSE} | dict(speech.phonemes)
    events: list[tuple[float, str]] = []
    for first, name in names.items():
        follows_pause = bool(events) and events[-1][1].startswith(_PAUSE[0])
        if first / speech.rate < duration and not (follows_pause and name.startswith(_PAUSE[0])):
            events.append((first / speech.rate, name))
    phonemes = tuple(
        Phoneme(start, end, name) for (start, name), (end, _) in pairwise([*events, (duration, "")])
    )
    return Utterance(line.text, line.voice, split, duration, phonemes), sound
