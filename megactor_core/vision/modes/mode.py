"""Driving mode: what it needs of a clip, and what it shows of every frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..face_patches import BestFrame

GREY = "driving"
"""Name of a grey picture, float32 (S, S), 0..255: what an encoder of driving frames sees."""

Landmarks = Literal["none", "coarse", "exact"]


class Plan(Protocol):
    """Plan of a mode for one clip; the clip-wide part is known, the frames come one by one."""

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Pictures of frame ``index`` by the names of ``DrivingMode.pictures``.

        Args:
            index: of the frame.
            square: float32 RGB (S, S, 3), 0..255.

        Returns:
            Under ``GREY`` float32 (S, S), 0..255; under the name of a ControlNet its hint, float32 (S, S, 3)
            in [-1, 1].
        """


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """The face in the squares of a clip; positions are in pixels of the squares.

    Attributes:
        size: side of the squares.
        landmarks: float (68, 2) of every frame, None where no face was seen; read by modes that need some.
        boxes: float (frames, 4); None where no face was looked for or found. Read by the others.
        passed: bool (frames,), frames of which everything is shown because the face was lost; None: none.
        target: (68, 2) of the portrait's square, which the face is aligned with; None leaves it.
        subject: name of the clip in error messages.
    """

    size: int
    landmarks: Sequence[NDArray[np.floating] | None] = ()
    boxes: NDArray[np.floating] | None = None
    passed: NDArray[np.bool_] | None = None
    target: NDArray[np.floating] | None = None
    subject: str = "driving video"


@dataclass(frozen=True)
class PlanOptions:
    """Choices of the user; a mode reads those that its ``options`` name.

    Attributes:
        best_frame: see ``BestFrame``.
        fixed_patches: one box per region for the whole clip instead of one per frame.
    """

    best_frame: BestFrame = "auto"
    fixed_patches: bool = False


@dataclass(frozen=True)
class DrivingMode:
    """A way to show a driver to a model.

    Attributes:
        name: in configurations, flags and widgets.
        description: what is shown, in words that go on after "MegActor: plain, ...".
        landmarks: ``"none"``: the face's box is enough; ``"coarse"``: landmarks guessed from a detector's
            five points will do; ``"exact"``: only a landmarker's.
        needs_face: whether a clip without any face is refused.
        pictures: names of the pictures of a frame: ``GREY``, or the ControlNets that see them.
        plan: makes the plan of a clip, and a line for the user, empty where there is nothing to tell. A mode
            that needs a face is given landmarks of at least one frame.
        options: fields of ``PlanOptions`` that it reads.
        anchor: frame whose face decides the alignment with ``ClipFaces.target``, as an index.
    """

    name: str
    description: str
    landmarks: Landmarks
    needs_face: bool
    pictures: tuple[str, ...]
    plan: Callable[[ClipFaces, PlanOptions], tuple[Plan, str]]
    options: tuple[str, ...] = ()
    anchor: int = 0
