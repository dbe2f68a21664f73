"""Phonemes as shapes of a mouth: how far each opens, widens and smiles, and the curves between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Phoneme:
    """A stretch of speech: ``start``, ``end`` in seconds, ``name`` as espeak-ng writes it ("_:": pause)."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class MouthShape:
    """Parameters of a puppet's mouth, see ``motion.MOTION_NAMES``, and how firmly a sound asks for them."""

    opening: float
    width: float
    smile: float
    strength: float


REST = MouthShape(0.02, 0.0, 0.0, 0.5)
"""The mouth in a pause."""

# Own values. A smile of phonemes varies less than one of faces; it is drawn twice as large as it would look
# natural, so that whether a model follows it can be measured.
_SHAPES = {
    "bmp": MouthShape(0.0, -0.05, 0.0, 3.0),
    "fv": MouthShape(0.10, 0.10, 0.0, 2.0),
    "th": MouthShape(0.20, 0.10, 0.0, 1.2),
    "tdn": MouthShape(0.20, 0.15, 0.10, 0.8),
    "sz": MouthShape(0.14, 0.35, 0.20, 1.0),
    "sh": MouthShape(0.22, -0.5, 0.0, 1.3),
    "kg": MouthShape(0.30, 0.0, 0.0, 0.6),
    "h": MouthShape(0.30, 0.0, 0.0, 0.3),
    "l": MouthShape(0.32, 0.1, 0.0, 0.8),
    "r": MouthShape(0.22, -0.35, 0.0, 1.0),
    "w": MouthShape(0.12, -0.9, 0.0, 1.6),
    "j": MouthShape(0.22, 0.6, 0.30, 0.8),
    "a": MouthShape(0.95, 0.1, 0.0, 1.2),
    "A": MouthShape(0.85, -0.05, 0.0, 1.2),
    "O": MouthShape(0.62, -0.5, 0.0, 1.2),
    "V": MouthShape(0.55, 0.1, 0.0, 1.0),
    "@": MouthShape(0.35, 0.0, 0.0, 0.7),
    "E": MouthShape(0.6, 0.4, 0.20, 1.1),
    "I": MouthShape(0.32, 0.55, 0.30, 1.0),
    "i": MouthShape(0.22, 0.9, 0.60, 1.2),
    "3": MouthShape(0.35, -0.3, 0.0, 1.0),
    "U": MouthShape(0.28, -0.6, 0.0, 1.0),
    "u": MouthShape(0.18, -0.95, 0.0, 1.3),
    "sil": REST,
}

_CLASSES = {
    "bmp": "b p m", "fv": "f v", "th": "T D", "tdn": "t d n t2", "sz": "s z", "sh": "S Z tS dZ",
    "kg": "k g N x", "h": "h ?", "l": "l", "r": "r", "w": "w", "j": "j ;", "a": "a aa", "A": "A: A 0",
    "O": "O: O O2", "V": "V", "@": "@", "E": "E", "I": "I I2", "i": "i i:", "3": "3 3:", "U": "U",
    "u": "u u:",
}  # fmt: skip
_IN_HALVES = {
    "eI": "E i", "aI": "a I", "OI": "O I", "aU": "a u", "oU": "O u", "i@": "i @", "e@": "E @", "O@": "O @",
    "A@": "A @", "U@": "u @", "aI@": "a @", "@L": "@ l", "o@": "O @", "i@3": "i 3", "aI2": "a I",
    "aI3": "a I", "IR": "I r", "VR": "V r",
}  # fmt: skip
_PARTS = {name: (kind,) for kind, names in _CLASSES.items() for name in names.split()} | {
    name: tuple(halves.split()) for name, halves in _IN_HALVES.items()
}
_MARKS = str.maketrans("", "", "',%#-")
_PLATEAU = 0.3
"""Part of a segment, to each side of its middle, in which it speaks with full weight."""
_REACH = 0.045
"""Seconds in which that weight falls to 1/e: how far neighbours colour one another."""


def mouth_classes(name: str) -> tuple[str, ...] | None:
    """Classes of a phoneme in their order, two of a diphthong; "sil" of a pause; None where it is unknown."""
    plain = name.translate(_MARKS)
    return ("sil",) if not plain or plain.startswith("_") else _PARTS.get(plain)


def unknown_phonemes(phonemes: Iterable[Phoneme]) -> list[str]:
    """Names that the table lacks, each time they occur; they open the mouth as "@" does."""
    return [phoneme.name for phoneme in phonemes if mouth_classes(phoneme.name) is None]


def mouth_curve(phonemes: Sequence[Phoneme], times: ArrayLike) -> FloatArray:
    """Opening, width and smile of the mouth that says these phonemes.

    Segment i with middle c, length d and strength a counts ``a exp(-max(|t - c| - .3 d, 0) / .045)`` at the
    time t; the mouth is the mean of all shapes with these weights. So lips close for b, m and p whatever is
    beside them, and a weak sound takes the shape of its neighbours.

    Args:
        phonemes: in order, at least one; see ``Phoneme``.
        times: seconds (n,) on the phonemes' clock.

    Returns:
        float32 (n, 3): opening 0..1, width and smile -1..1.
    """
    segments = []
    for phoneme in phonemes:
        classes = mouth_classes(phoneme.name) or ("@",)
        length = (phoneme.end - phoneme.start) / len(classes)
        for half, kind in enumerate(classes):
            shape = _SHAPES[kind]
            middle = phoneme.start + (half + 0.5) * length
            segments.append((middle, length, shape.strength, shape.opening, shape.width, shape.smile))
    middles, lengths, strengths, *shapes = np.array(segments).T
    distances = np.abs(np.asarray(times, np.float64)[:, None] - middles)
    falls = np.maximum(distances - _PLATEAU * lengths, 0) / _REACH
    # Relative to the nearest segment, so that far from all of them the weights do not vanish together.
    weights = strengths * np.exp(falls.min(axis=1, keepdims=True) - falls)
    return (weights @ np.stack(shapes, axis=1) / weights.sum(axis=1, keepdims=True)).astype(np.float32)
