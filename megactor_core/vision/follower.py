"""Chooses one of the persons of a clip and stays with them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .cuts import CutFinder
from .faces import Box, Face, FaceChoice, choose_face, faces_within
from .persons import MEMORY, OTHER_LOOKS, SAME_LOOKS, Looks, Persons, looks_distance

# After so many frames without the face it is chosen anew: it moved elsewhere, or the scene has changed.
_PATIENCE = 12
_SAME_PLACE = 0.25  # of the longer side


class NoFaceError(InputError):
    """The face that was asked for is in no frame of a clip."""


class Follower:
    """The face in each frame so far; frames before the choice wait, they may lack the chosen face.

    Args:
        choice, within: see ``tracking.follow_face``.

    Attributes:
        faces: of the frames so far, None where it was not seen.
        cuts, starts: see ``tracking.FaceTrack``.
        chosen_again, doubtful: see ``tracking.TrackReport``.
    """

    def __init__(self, choice: FaceChoice, within: Box | None) -> None:
        self._choice, self._within = choice, within
        self._persons, self._cut_finder = Persons(), CutFinder()
        self._waiting: list[dict[int, Face]] = []
        self._number: int | None = None
        self._former: int | None = None
        self._looks: Looks | None = None
        self._former_looks: Looks | None = None
        self._jumped = 0
        self._last: Face | None = None
        self._last_seen = 0
        self._alone = False
        self._most = 0
        self.faces: list[Face | None] = []
        self.cuts: list[int] = []
        self.starts: set[int] = set()
        self.chosen_again: list[int] = []
        self.doubtful: list[int] = []

    def add(self, image: NDArray[np.uint8] | None, faces: tuple[Face, ...]) -> None:
        """Look for the face among those of the next frame, uint8 RGB (H, W, 3), None where unknown."""
        frame = len(self.faces)
        if image is not None and self._cut_finder.begins_shot(image):
            self.cuts.append(frame)
            self.starts.add(frame)
            self._persons.forget()
            self._number, self._former, self._waiting = None, None, []
        named = self._persons.name(faces, image)
        self.faces.append(None)
        if self._number is None:
            self._most = max(self._most, len(faces))
            self._waiting.append(named)
            if self._can_choose(faces):
                self._choose(named, frame)
            return
        self._give_back_stand_in(named, frame)
        number = self._number if self._number in named else self._returned(named, frame)
        if number is not None:
            self._take(number, named, frame)
        elif frame - self._last_seen > _PATIENCE and self._can_choose(faces):
            self._choose(named, frame)

    def check(self, subject: str) -> None:
        """Raises ``NoFaceError`` where the face was never there."""
        if self._last is not None:
            return
        if self._most == 0:
            raise NoFaceError(subject, "no face was found", "Choose the crop whole, or give a box")
        if not isinstance(self._choice, int):
            raise NoFaceError(subject, "no face was found in the box", "Choose another box, or the crop face")
        raise NoFaceError(
            f"face {self._choice}",
            f"no frame of {subject} has more than {self._most} {'face' if self._most == 1 else 'faces'}",
            f"Choose an index from 0 to {self._most - 1} (counted from the left), or the largest face",
        )

    def _candidates(self, faces: Iterable[Face]) -> tuple[Face, ...]:
        return faces_within(faces, self._within if self._choice == "largest" else None)

    def _can_choose(self, faces: tuple[Face, ...]) -> bool:
        count = len(self._candidates(faces))
        return count > self._choice if isinstance(self._choice, int) else count > 0

    def _choose(self, named: dict[int, Face], frame: int) -> None:
        """Choose the face, for the first time in a shot or after a long loss."""
        chosen = choose_face(self._candidates(named.values()), self._choice)
        number = next(number for number, face in named.items() if face is chosen)
        if self._last is not None:
            self.chosen_again.append(frame)
            distance = looks_distance(self._looks, self._persons[number].looks)
            if distance is None or distance > SAME_LOOKS:
                self.doubtful.append(frame)
        if self._number is not None:
            self.starts.add(frame)
        self._take(number, named, frame)
        # The choice may be made late in the shot; who was chosen was there before.
        begin = frame + 1 - len(self._waiting)
        for index, earlier in enumerate(self._waiting, begin):
            self.faces[index] = earlier.get(number)
        self._waiting = []

    def _take(self, number: int, named: dict[int, Face], frame: int) -> None:
        if self._number not in (None, number):
            self._former, self._former_looks, self._jumped = self._number, self._looks, frame
            self._looks = None
        self._number, self._last, self._last_seen = number, named[number], frame
        self._alone = len(named) == 1
        looks = self._persons[number].looks
        self._looks = self._looks if looks is None else looks
        self.faces[frame] = named[number]

    def _returned(self, named: dict[int, Face], frame: int) -> int | None:
        """The followed person somewhere else: whoever has come since and looks like them, or is alone too."""
        assert self._last is not None
        new = [number for number in named if self._persons[number].born > self._last_seen]
        looks = {number: looks_distance(self._looks, self._persons[number].looks) for number in new}
        known = {number: distance for number, distance in looks.items() if distance is not None}
        number = min(known, key=known.__getitem__, default=None)
        if number is None or known[number] > SAME_LOOKS:
            # A single face that jumped is still the same one, unless it is of quite another size or kind.
            if not (self._alone and len(named) == 1 and new):
                return None
            number = new[0]
            if not _alike(self._last, named[number]) or known.get(number, 0) > OTHER_LOOKS:
                return None
            self.doubtful.append(frame)
        self.starts.add(frame)
        return number

    def _give_back_stand_in(self, named: dict[int, Face], frame: int) -> None:
        """Take the track back from a stand-in where the person who seemed to have jumped is back."""
        if self._former is None or frame - self._jumped > MEMORY:
            return
        number = self._former if self._former in named else self._like_former(named)
        if number is None:
            return
        self.faces[self._jumped : frame] = [None] * (frame - self._jumped)
        self.starts.discard(self._jumped)
        for frames in (self.chosen_again, self.doubtful):
            if self._jumped in frames:
                frames.remove(self._jumped)
        if number != self._former:
            self.starts.add(frame)
        self._number, self._former, self._looks = number, None, self._former_looks

    def _like_former(self, named: dict[int, Face]) -> int | None:
        """Whoever has come since the jump and looks like the former person, if the present one does not."""
        present = looks_distance(self._former_looks, self._looks)
        if present is None or present <= SAME_LOOKS:
            return None
        for number in named:
            distance = looks_distance(self._former_looks, self._persons[number].looks)
            if self._persons[number].born > self._jumped and distance is not None and distance <= SAME_LOOKS:
                return number
        return None


def _alike(last: Face, face: Face) -> bool:
    """Whether a face is of about the size of another, or in its very place."""
    away = float(np.hypot(*np.subtract(face.center, last.center)))
    return 0.25 < face.area / last.area < 4 or away < _SAME_PLACE * np.sqrt(max(face.area, last.area))
