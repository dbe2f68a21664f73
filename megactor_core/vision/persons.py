"""Identities among the faces of a clip: every person keeps a number from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .faces import Box, Face

Looks = NDArray[np.float32]
"""A face's appearance: a tiny colour picture without its brightness, float32 (8, 8, 3)."""

_LOOKS_SIDE = 8
_LOOKS_MARGIN = 0.15  # of the box, so that hair counts
_HEAD = 0.3  # of the box, to each side: where a head may cover another

SAME_LOOKS = 0.13
"""Distance of looks up to which two faces may well be one person's. One person's pictures in a clip differ by
up to 0.1 from their mean, those of two people by 0.15 and more."""
OTHER_LOOKS = 0.2
"""Distance of looks from which two faces are hardly one person's. Turned away, half hidden or in another
light, a face differs more than ``SAME_LOOKS`` from itself."""
_OTHER_AT_ONCE = 0.3  # in the very next frame the place tells more

MEMORY = 75
"""Frames after which a person who is not seen is forgotten."""

# How far from where it is expected a face may be, in lengths of its side: at once, more for every frame in
# which it was not seen, and at most, or where it looks alike.
_REACH, _MORE_REACH, _FARTHEST = 0.8, 0.15, 2.0
_GROWTH = 2.5  # of a face's side between two looks at it
_PREDICTED = 25  # frames for which a person goes on as before


def looks_of(image: NDArray[np.uint8], box: Box) -> Looks | None:
    """The looks of a face in a picture, uint8 RGB (H, W, 3); None where the box covers no pixel of it."""
    left, top, right, bottom = box
    across, down = _LOOKS_MARGIN * (right - left), _LOOKS_MARGIN * (bottom - top)
    rows = slice(max(0, int(top - down)), max(0, int(bottom + down)))
    columns = slice(max(0, int(left - across)), max(0, int(right + across)))
    part = image[rows, columns]
    if not part.size:
        return None
    small = cv2.resize(part, (_LOOKS_SIDE, _LOOKS_SIDE), interpolation=cv2.INTER_AREA)
    pixels = small.astype(np.float32) / np.float32(255)
    return np.asarray(pixels - pixels.mean(), np.float32)


def looks_distance(first: Looks | None, second: Looks | None) -> float | None:
    """Root of the mean squared difference; None where either is unknown."""
    if first is None or second is None:
        return None
    return float(np.sqrt(np.square(first - second).mean()))


@dataclass
class Person:
    """One person as last seen.

    Attributes:
        face: the last one.
        looks: mean of the latest, None where no picture tells.
        born, seen: numbers of the first and the last frame with this face.
        velocity: of the face's centre, pixels a frame.
    """

    face: Face
    looks: Looks | None
    born: int
    seen: int
    velocity: NDArray[np.float64] | None = None

    def update(self, face: Face, looks: Looks | None, frame: int, covered: bool) -> None:
        """Takes note of the face in another frame; half of a covered face tells no way it is going."""
        step = np.subtract(face.center, self.face.center) / (frame - self.seen)
        if not covered:
            self.velocity = step if self.velocity is None else self.velocity + 0.3 * (step - self.velocity)
        if looks is not None:
            self.looks = looks if self.looks is None else self.looks + np.float32(0.2) * (looks - self.looks)
        self.face, self.seen = face, frame

    def cost(self, face: Face, looks: Looks | None, frame: int) -> float | None:
        """Cost of assigning a face to this person, 0 and above; None where it cannot be theirs."""
        steps = frame - self.seen
        side = float(np.sqrt(self.face.area))
        growth = abs(float(np.log2(face.area / self.face.area))) / 2
        away = np.subtract(face.center, self.face.center)
        near = float(np.hypot(*away)) / side
        if self.velocity is not None:
            ahead = away - self.velocity * min(steps, _PREDICTED)
            # Whoever is not where they were going may have stopped.
            near = min(float(np.hypot(*ahead)) / side, near + 0.25)
        distance = looks_distance(self.looks, looks)
        reach = min(_REACH + _MORE_REACH * (steps - 1), _FARTHEST)
        if distance is not None and distance <= SAME_LOOKS:
            reach = _FARTHEST
        if near > reach or growth > np.log2(_GROWTH):
            return None
        if distance is not None and distance > (_OTHER_AT_ONCE if steps == 1 else OTHER_LOOKS):
            return None
        return near + growth / 2 + (0.5 if distance is None else distance / SAME_LOOKS) / 2


class Persons:
    """Numbers the persons of a shot by where they were going and what they look like."""

    def __init__(self) -> None:
        self._persons: dict[int, Person] = {}
        self._frame = -1
        self._next = 0

    def __getitem__(self, number: int) -> Person:
        return self._persons[number]

    def __contains__(self, number: object) -> bool:
        return number in self._persons

    def forget(self) -> None:
        """Everybody, as another shot begins."""
        self._persons.clear()

    def name(self, faces: tuple[Face, ...], image: NDArray[np.uint8] | None) -> dict[int, Face]:
        """The faces of the next frame by their persons' numbers.

        Args:
            faces: in any order.
            image: the frame, uint8 RGB (H, W, 3), or None: then position and size alone decide.
        """
        self._frame += 1
        self._persons = {
            number: person for number, person in self._persons.items() if self._frame - person.seen <= MEMORY
        }
        covered = [_covered(face, faces) for face in faces]
        looks = [
            None if image is None or hidden else looks_of(image, face.box)
            for face, hidden in zip(faces, covered, strict=True)
        ]
        pairs = [
            (cost, number, index)
            for number, person in self._persons.items()
            for index, face in enumerate(faces)
            if (cost := person.cost(face, looks[index], self._frame)) is not None
        ]
        numbers: dict[int, int] = {}
        for _, number, index in sorted(pairs):
            if index not in numbers and number not in numbers.values():
                numbers[index] = number
        named = {}
        for index, face in enumerate(faces):
            if index in numbers:
                number = numbers[index]
                self._persons[number].update(face, looks[index], self._frame, covered[index])
            else:
                number, self._next = self._next, self._next + 1
                self._persons[number] = Person(face, looks[index], self._frame, self._frame)
            named[number] = face
        return named


def _covered(face: Face, faces: tuple[Face, ...]) -> bool:
    """Whether another head may lie over this one."""
    left, top, right, bottom = _head(face)
    others = (_head(other) for other in faces if other is not face)
    return any(min(right, x1) > max(left, x0) and min(bottom, y1) > max(top, y0) for x0, y0, x1, y1 in others)


def _head(face: Face) -> Box:
    left, top, right, bottom = face.box
    across, down = _HEAD * (right - left), _HEAD * (bottom - top)
    return left - across, top - down, right + across, bottom + down
