"""What puppets say and in whose voice: drawn at random, nothing of it common to training and held-out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from ...seeds import Split
from .engine import Line

_LANGUAGES = ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc")
_VARIANTS = (
    "m1", "m2", "m3", "m5", "m6", "m7", "m8", "f1", "f3", "f4", "f5", "klatt", "klatt2", "klatt4", "Andy",
    "Annie", "Michael", "Mike", "linda", "steph", "edward", "john", "paul", "david", "max", "zac", "belinda",
    "Alex", "Andrea", "Gene", "Lee", "Hugo",
)  # fmt: skip
VOICES: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"{language}+{variant}" for language in _LANGUAGES for variant in _VARIANTS),
    "held-out": (*(f"en-us+{name}" for name in ("f2", "m4", "klatt3", "adam", "Alicia", "caleb")), "en"),
}
"""Voices of each split: languages and variants of espeak-ng; no variant is in both."""

_HELD_OUT_WORD = 8
"""Of every so many words one is said in the held-out split alone."""

_RATES, _PITCHES, _RANGES = (130, 221), (15, 81), (30, 71)
_WORDS_OF_A_LINE = (4, 8)
_PAUSES = ("", "", ",", "!")
"""Marks behind a word: no pause, and pauses of 0.1 to 0.25 and of 0.2 to 0.55 seconds."""


@cache
def words(split: Split) -> tuple[str, ...]:
    """Common English words that a split says; no word is in both."""
    every = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    held_out = every[::_HELD_OUT_WORD]
    return tuple(held_out) if split == "held-out" else tuple(sorted(set(every) - set(held_out)))


def draw_line(rng: np.random.Generator, split: Split) -> Line:
    """4 to 7 words, in half of the lines with a pause between, at a random rate and pitch, in a voice."""
    text = rng.choice(words(split), int(rng.integers(*_WORDS_OF_A_LINE))).tolist()
    last, pause = int(rng.integers(1, len(text) - 1)), int(rng.integers(4))
    text[last] += _PAUSES[pause]
    voice = str(rng.choice(VOICES[split]))
    rate, pitch, span = (int(rng.integers(*limits)) for limits in (_RATES, _PITCHES, _RANGES))
    return Line(" ".join(text), voice, rate, pitch, span)
