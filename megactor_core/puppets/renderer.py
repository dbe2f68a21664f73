"""Renderer of puppets: one identity and one motion become a picture, a mask, landmarks and a face box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from . import features, hair
from .background import render_background
from .body import draw_body
from .canvas import Canvas, Image
from .face import Array, FaceShape
from .identity import Identity
from .motion import FloatArray
from .pose import Pose
from .shading import lit_sphere, window

SMALL = 96
"""Pictures below this size are drawn at twice their size and reduced."""


@dataclass(frozen=True)
class PuppetFrame:
    """A rendered puppet with exact annotations.

    image: uint8 (S, S, 3) RGB. mask: float32 (S, S), 1 on the person (head, hair, neck, clothes), 0 on the
    background, between on the edge. landmarks: float32 (68, 2), x and y in pixels ((0, 0) is the centre of
    the top left pixel), in dlib's order. face_box: float32 (4,), left, top, right, bottom of the face
    from forehead to chin, inside the picture.
    """

    image: Image
    mask: FloatArray
    landmarks: FloatArray
    face_box: FloatArray


class Puppet:
    """One identity prepared for a picture size: draws any number of motions.

    Args:
        identity: appearance.
        size: side of the square pictures in pixels; 48 to 512 are looked after.

    The same identity, size and motion always give the same pixels.
    """

    def __init__(self, identity: Identity, size: int) -> None:
        self.identity = identity
        self.size = size
        self._inner = size * 2 if size < SMALL else size
        self._face = FaceShape(identity)
        self._background = render_background(identity, self._inner)
        self._skin = lit_sphere(identity, identity.skin, self._inner)
        self._hair = lit_sphere(identity, identity.hair_color, self._inner, 0.8)
        if identity.hair_style == "cap":
            self._cap = lit_sphere(identity, identity.clothes_color, self._inner, 0.8)
        self._line = 0.011 * self._inner if identity.style in ("outline", "sketch") else 0.0
        self._back = hair.back_shapes(self._face)
        self._front = hair.front_shapes(self._face)
        self._nose = self._face.nose()

    def image(self, motion: FloatArray) -> Image:
        """Picture only, uint8 (size, size, 3), of a motion (15,) (see `motion.MOTION_NAMES`)."""
        canvas = Canvas(self._background.copy(), None)
        self._draw(canvas, motion)
        return self._reduced(canvas.image)

    def frame(self, motion: FloatArray) -> PuppetFrame:
        """Picture with mask, landmarks and face box, of a motion (15,)."""
        person = np.zeros((self._inner, self._inner), np.uint8)
        canvas = Canvas(self._background.copy(), person)
        landmarks = (self._draw(canvas, motion) + 0.5) * (self.size / self._inner) - 0.5
        low, high = landmarks.min(0), landmarks.max(0)
        low[1] -= 0.12 * (high[1] - low[1])
        box = np.clip(np.concatenate((low, high + 1)), 0, self.size)
        return PuppetFrame(
            image=self._reduced(canvas.image),
            mask=self._reduced(person).astype(np.float32) / np.float32(255),
            landmarks=landmarks.astype(np.float32),
            face_box=box.astype(np.float32),
        )

    def _reduced(self, image: Image) -> Image:
        if self._inner == self.size:
            return image
        return np.asarray(cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA), np.uint8)

    def _draw(self, canvas: Canvas, motion: FloatArray) -> Array:
        """Draw everything from back to front; returns the landmarks (68, 2) in the canvas's pixels."""
        face, pose = self._face, Pose(self.identity, motion, self._inner)
        scene = features.Scene(canvas, self.identity, face, pose, self._line)
        gaze_x, gaze_y, lid_left, lid_right, brow_left, brow_right, opening, width, smile = (
            float(value) for value in motion[6:]
        )
        skin, locks = (window(texture, pose.middle, self._inner) for texture in (self._skin, self._hair))
        head, mouth = face.head(opening), face.mouth(opening, width, smile)
        outline = pose.silhouette(head)
        nose = {name: pose.features(part) for name, part in self._nose.items()}
        eyes = _together(
            face.eyes(gaze_x, gaze_y, (lid_left, lid_right)),
            lambda points: pose.features(face.on_surface(points, 0.02)),
        )
        brows = pose.features(face.on_surface(face.brows((brow_left, brow_right)), 0.05))

        features.draw_solid(scene, [pose.silhouette(shape) for shape in self._back], locks)
        draw_body(canvas, self.identity, pose, skin, self._line)
        features.draw_ears(scene, skin)
        features.draw_solid(scene, [outline], skin)
        features.draw_cheeks(scene)
        features.draw_beard(scene, head, mouth)
        features.draw_mouth(scene, mouth)
        features.draw_nose(scene, nose)
        features.draw_eyes(scene, eyes)
        features.draw_front_hair(scene, self._front, locks)
        if self.identity.hair_style == "cap":
            features.draw_cap(scene, window(self._cap, pose.middle, self._inner))
        # Brows go over the hair, so that a fringe never hides their motion.
        for brow in brows:
            canvas.fill(brow, self.identity.brow_color)
        features.draw_glasses(scene)
        lips = _together(mouth, lambda points: pose.features(face.on_surface(points)))
        return _landmarks(outline, brows, nose, eyes, lips)


def _together(parts: dict[str, Array], change: Callable[[Array], Array]) -> dict[str, Array]:
    """Parts (..., points, coordinates), all changed in one call for speed."""
    ends = np.cumsum([part.shape[-2] for part in parts.values()])[:-1]
    changed = change(np.concatenate(list(parts.values()), axis=-2))
    return dict(zip(parts, np.split(changed, ends, axis=-2), strict=True))


def _landmarks(
    outline: Array, brows: Array, nose: dict[str, Array], eyes: dict[str, Array], lips: dict[str, Array]
) -> Array:
    """The 68 points in dlib's order from the projected parts."""
    jaw = outline[48:15:-2]
    edges = np.concatenate((brows[0, 0:9:2], brows[1, 8::-2]))
    rings = [
        part for side in (0, 1) for part in (eyes["upper"][side, [0, 4, 8, 12]], eyes["lower"][side, [8, 4]])
    ]
    outer = (lips["over"][0:13:2], lips["under"][10:0:-2])
    inner = (lips["upper"][[0, 3, 6, 9, 12]], lips["lower"][[9, 6, 3]])
    return np.concatenate((jaw, edges, nose["bridge"], nose["base"], *rings, *outer, *inner))


def render(identity: Identity, motion: FloatArray, size: int) -> PuppetFrame:
    """Render one puppet with its annotations; see `PuppetFrame`. Use `Puppet` for several motions."""
    return Puppet(identity, size).frame(motion)


def render_image(identity: Identity, motion: FloatArray, size: int) -> Image:
    """Render the picture only, uint8 (size, size, 3)."""
    return Puppet(identity, size).image(motion)
