"""Parts of outputs: a golden folder may store some frames, tokens, pixels or channels; a note says which."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_ORDINALS = {"other": 2, "second": 2, "third": 3, "fourth": 4, "eighth": 8}
_EVERY = re.compile(rf"every (?:(\d+)(?:st|nd|rd|th)|({'|'.join(_ORDINALS)}))(?: ([a-z]+))?")
_LISTED = re.compile(r"\b([a-z]+?)s? \[(-?\d+(?:, ?-?\d+)*)\]")
_COUNTED = re.compile(r"\b([a-z]+?)s? ((?:\d+|last)(?:(?:, | and |, and )(?:\d+|last))*)\b(?!\.\.)")
_RANGE = re.compile(r"\b([a-z]+?)s? (\d+)\.\.(\d+)")
_FIRST = re.compile(r"\bfirst (\d+) ([a-z]+?)s?\b")
_FULL_SHAPE = re.compile(r"full shape \[([\d, ]*)\]")


@dataclass(frozen=True)
class Selection:
    """What a note says of one kind of axis: its word (``frame``), and the indices for an axis's length."""

    word: str
    indices: Callable[[int], list[int]]

    def fits(self, whole: int, stored: int) -> bool:
        """Whether it makes an axis of one length one of the other."""
        chosen = self.indices(whole)
        return len(chosen) == stored and all(-whole <= index < whole for index in chosen)


def selections(note: str) -> list[Selection]:
    """Everything that a note says of which part is stored."""
    found = []
    for match in _EVERY.finditer(note):
        stride = int(match[1] or _ORDINALS.get(match[2], 0))
        word = (match[3] or "pixel").removesuffix("s")
        found.append(Selection(word, lambda length, stride=stride: list(range(0, length, stride))))
    lists = [(match[1], match[2].split(",")) for match in _LISTED.finditer(note) if match[1] != "shape"]
    lists += [(match[1], re.findall(r"\d+|last", match[2])) for match in _COUNTED.finditer(note)]
    lists += [(match[1], list(range(int(match[2]), int(match[3]) + 1))) for match in _RANGE.finditer(note)]
    lists += [(match[2], list(range(int(match[1])))) for match in _FIRST.finditer(note)]
    for word, numbers in lists:
        indices = [-1 if number == "last" else int(number) for number in numbers]
        found.append(Selection(word, lambda _length, indices=indices: indices))
    return found


def full_shape(note: str) -> tuple[int, ...] | None:
    """Shape of the whole output, where the note says it."""
    match = _FULL_SHAPE.search(note)
    return match and tuple(int(length) for length in match[1].split(","))


def _axes(word: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes that a word means in the layouts of golden data: b c f h w, f c h w, n tokens channels."""
    height = len(shape) - (3 if len(shape) > 2 and shape[-1] == 3 else 2)
    return {
        "frame": {5: (2,), 4: (0,), 3: (0,)}.get(len(shape), ()),
        "channel": {5: (1,), 4: (1,), 3: (2,), 2: (1,)}.get(len(shape), ()),
        "token": {3: (1,)}.get(len(shape), ()),
        "pixel": (height, height + 1),
        "row": (height,),
        "column": (height + 1,),
    }.get(word, ())


def stored_part(
    whole: np.ndarray, shape: tuple[int, ...], note: str = "", frames: list[int] | None = None
) -> np.ndarray:
    """The part of a whole output that has a stored one's shape and that its note names.

    Args:
        whole: the output.
        shape: of the stored part.
        note: of the stored part.
        frames: those that are stored of every output whose note is silent about frames.

    Raises:
        AssertionError: the note does not explain the difference between the shapes.
    """
    said = f"note {note!r}" + (f", frames {frames}" if frames is not None else "")
    chosen = selections(note)
    if frames is not None and not any(selection.word == "frame" for selection in chosen):
        chosen.append(Selection("frame", lambda _length: frames))
    # The full shape is that of what the rest was taken of: perhaps of some frames already.
    for target in (full_shape(note) or whole.shape, shape):
        assert whole.ndim == len(target), f"computed {whole.shape}, stored {target}: {said}"
        for axis, stored in enumerate(target):
            if whole.shape[axis] != stored:
                whole = whole.take(_indices(chosen, whole.shape, axis, stored, said), axis=axis)
    return whole


def _indices(chosen: list[Selection], shape: tuple[int, ...], axis: int, stored: int, said: str) -> list[int]:
    length = shape[axis]
    fitting = [selection for selection in chosen if selection.fits(length, stored)]
    assert fitting, f"axis {axis} of {shape} has {stored} in the stored part: {said}"
    meant = [selection for selection in fitting if axis in _axes(selection.word, shape)] or fitting
    indices = meant[0].indices(length)
    assert all(other.indices(length) == indices for other in meant), f"axis {axis} of {shape}: {said}?"
    return indices
