"""Puppets that walk about in larger pictures, with a detector that knows where their faces are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from megactor_core.puppets.clips import sample_clip
from megactor_core.puppets.identity import sample_identity
from megactor_core.puppets.renderer import Puppet, PuppetFrame
from megactor_core.seeds import clip_generator
from megactor_core.vision.faces import Face

Place = tuple[float, float, float] | None
"""Where a person is: x and y of the face's centre and its height in pixels; None where they are not."""


class Person:
    """A puppet that talks and looks about.

    Args:
        seed: another seed is another person.
        side: of the puppet's own pictures in pixels.
    """

    def __init__(self, seed: int, side: int = 96) -> None:
        self._puppet = Puppet(sample_identity(clip_generator(seed, 0)), side)
        self._motion = sample_clip(seed, 0, 100).motion
        self._frames: dict[int, PuppetFrame] = {}

    def frame(self, index: int) -> PuppetFrame:
        if index not in self._frames:
            self._frames[index] = self._puppet.frame(self._motion[index])
        return self._frames[index]


@dataclass
class Scene:
    """Frames with people on a wall, and their faces.

    Attributes:
        frames: uint8 (H, W, 3).
        faces: of each frame those that can be seen, in the order of the people.
        boxes: of each frame and person the face's box, None where they are not in the picture.
    """

    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    faces: list[tuple[Face, ...]] = field(default_factory=list)
    boxes: list[tuple[tuple[float, ...] | None, ...]] = field(default_factory=list)

    def detect(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        """What a detector that makes no mistakes would see."""
        return next(faces for frame, faces in zip(self.frames, self.faces, strict=True) if frame is image)

    def shoot(
        self,
        people: Sequence[tuple[Person, Sequence[Place]]],
        size: tuple[int, int] = (180, 320),
        wall: tuple[int, int, int] = (120, 130, 140),
    ) -> Scene:
        """Append a shot.

        Args:
            people: from behind to the front, with their place in every frame.
            size: (height, width).
            wall: its colour.
        """
        height, width = size
        random = np.random.default_rng(len(self.frames))
        behind = np.clip(random.normal(wall, 2, (height, width, 3)), 0, 255).astype(np.uint8)
        for index in range(len(people[0][1])):
            picture, covered = behind.copy(), []
            for person, places in people:
                covered.append(_paint(picture, person.frame(index % 100), places[index]))
            faces, boxes = [], []
            for number, drawn in enumerate(covered):
                if drawn is None:
                    boxes.append(None)
                    continue
                in_front = [other[1] for other in covered[number + 1 :] if other is not None]
                face = _seen(drawn[0], drawn[2], in_front, size)
                boxes.append(drawn[0])
                if face is not None:
                    faces.append(face)
            self.frames.append(picture)
            self.faces.append(tuple(faces))
            self.boxes.append(tuple(boxes))
        return self


def walk(start: Place, end: Place, count: int) -> list[Place]:
    """Places on a straight line."""
    assert start is not None and end is not None
    return [tuple(row) for row in np.linspace(start, end, count).tolist()]


def _paint(
    picture: NDArray[np.uint8], puppet: PuppetFrame, place: Place
) -> tuple[tuple[float, ...], NDArray[np.bool_], NDArray[np.float32]] | None:
    """Box of the face, pixels of the person, landmarks."""
    if place is None:
        return None
    x, y, tall = place
    left, top, right, bottom = puppet.face_box.tolist()
    scale = tall / (bottom - top)
    shift = np.array([x - scale * (left + right) / 2, y - scale * (top + bottom) / 2])
    # Positions of pixels count from their centres.
    affine = np.column_stack([scale * np.eye(2), shift + (scale - 1) / 2])
    size = picture.shape[1::-1]
    flags = cv2.INTER_LINEAR
    image = cv2.warpAffine(puppet.image, affine, size, flags=flags).astype(np.float32)
    mask = cv2.warpAffine(puppet.mask, affine, size, flags=flags)[..., None]
    picture[:] = np.rint(picture + mask * (image - picture)).astype(np.uint8)
    box = tuple((np.array([left, top, right, bottom]) * scale + np.tile(shift, 2)).tolist())
    return box, mask[..., 0] > 0.5, puppet.landmarks * np.float32(scale) + shift.astype(np.float32)


def _seen(
    box: tuple[float, ...],
    landmarks: NDArray[np.float32],
    in_front: Sequence[NDArray[np.bool_]],
    size: tuple[int, int],
) -> Face | None:
    """The face as far as the picture shows it; None where less than half of it is to be seen."""
    height, width = size
    inside = np.clip(box, 0, [width, height, width, height])
    left, top, right, bottom = np.rint(inside).astype(int).tolist()
    whole = (box[2] - box[0]) * (box[3] - box[1])
    hidden = np.zeros((max(bottom - top, 0), max(right - left, 0)), bool)
    for mask in in_front:
        hidden |= mask[top:bottom, left:right]
    if (~hidden).sum() < 0.5 * whole:
        return None
    corners = tuple(map(float, inside))
    return Face((corners[0], corners[1], corners[2], corners[3]), landmarks=landmarks)
