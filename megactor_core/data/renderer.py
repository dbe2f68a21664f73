"""Renderer of puppets: one identity and one motion become a picture, a mask, landmarks and a face box."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from megactor_core.data import hair
from megactor_core.data.background import render_background
from megactor_core.data.body import draw_body
from megactor_core.data.canvas import Canvas, Image
from megactor_core.data.face import DEPTH, Array, FaceShape, ellipse
from megactor_core.data.identity import Identity, mix
from megactor_core.data.motion import FloatArray
from megactor_core.data.shading import lit_sphere, window

SMALL = 96
"""Pictures below this size are drawn at twice their size and reduced."""

HEAD_LEVEL = 0.49
"""Height of the neutral head's centre, fraction of the frame."""

_YAW, _PITCH, _ROLL = np.radians((33, 23, 19))
_SHIFT_X, _SHIFT_Y, _ZOOM = 0.1, 0.06, 1.13


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


class Pose:
    """Projection of head points to pixels for one motion."""

    def __init__(self, identity: Identity, motion: FloatArray, size: int) -> None:
        yaw, pitch, roll, x, y, scale = (float(value) for value in motion[:6])
        zoom = _ZOOM**scale
        self.unit = identity.head_width * zoom * size
        self.zoom = zoom
        self.size = size
        self.shift = np.array((_SHIFT_X * x, _SHIFT_Y * y))
        middle = np.array((0.5, 0.5 + (HEAD_LEVEL - 0.5) * zoom)) + self.shift
        self.centre = middle * size - 0.5
        self.middle = (float(self.centre[0]), float(self.centre[1]))
        self.roll = roll * _ROLL
        cos_y, sin_y = np.cos(yaw * _YAW), np.sin(yaw * _YAW)
        cos_p, sin_p = np.cos(pitch * _PITCH), np.sin(pitch * _PITCH)
        cos_r, sin_r = np.cos(self.roll), np.sin(self.roll)
        turn = np.array(((cos_r, -sin_r), (sin_r, cos_r))) * self.unit
        # Rotation about the vertical axis, then about the horizontal one; third row: depth after both.
        rotation = np.array(
            (
                (cos_y, 0.0, sin_y),
                (-sin_y * sin_p, cos_p, cos_y * sin_p),
                (-sin_y * cos_p, -sin_p, cos_y * cos_p),
            )
        )
        self._turn = turn.T
        self._rotation = rotation.T
        # A silhouette does not foreshorten: only its depth moves it.
        self._slide = np.array(((1, 0), (0, 1), (sin_y, sin_p)))

    def features(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) on the head, with foreshortening and slight perspective."""
        turned = points @ self._rotation
        flat = turned[..., :2] * (1 + 0.1 * (turned[..., 2:] - DEPTH))
        return np.asarray(flat @ self._turn + self.centre)

    def silhouette(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) on the head's or hair's outer edge."""
        return np.asarray(points @ self._slide @ self._turn + self.centre)


class Puppet:
    """One identity prepared for a picture size: draws any number of motions.

    Args:
        identity: appearance.
        size: side of the square pictures in pixels, 16 or more.
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

    def image(self, motion: FloatArray) -> Image:
        """Picture only, uint8 (size, size, 3)."""
        canvas = Canvas(self._background.copy(), None)
        self._draw(canvas, motion)
        return self._reduced(canvas.image)

    def frame(self, motion: FloatArray) -> PuppetFrame:
        """Picture with mask, landmarks and face box."""
        canvas = Canvas(self._background.copy(), np.zeros((self._inner, self._inner), np.uint8))
        landmarks = self._draw(canvas, motion)
        assert canvas.mask is not None
        mask = self._reduced(canvas.mask).astype(np.float32) / 255
        factor = self._inner / self.size
        landmarks = (landmarks + 0.5) / factor - 0.5
        low, high = landmarks.min(0), landmarks.max(0)
        low[1] -= 0.12 * (high[1] - low[1])
        box = np.clip(np.concatenate((low, high + 1)), 0, self.size)
        return PuppetFrame(
            self._reduced(canvas.image), mask, landmarks.astype(np.float32), box.astype(np.float32)
        )

    def _reduced(self, image: Image) -> Image:
        if self._inner == self.size:
            return image
        return np.asarray(cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA), np.uint8)

    def _draw(self, canvas: Canvas, motion: FloatArray) -> Array:
        """Draw everything; returns the landmarks (68, 2) in the canvas's pixels."""
        who, pose = self.identity, Pose(self.identity, motion, self._inner)
        values = [float(value) for value in motion]
        skin, locks = (window(texture, pose.middle, self._inner) for texture in (self._skin, self._hair))
        mouth = self._face.mouth(*values[12:15])
        head = self._face.head(values[12])
        outline = pose.silhouette(head)
        self._solids(canvas, [pose.silhouette(shape) for shape in self._back], locks)
        draw_body(canvas, who, pose, skin, self._line)
        self._ears(canvas, pose, skin)
        self._solid(canvas, outline, skin)
        nose = {name: pose.features(part) for name, part in self._face.nose().items()}
        self._cheeks(canvas, pose)
        self._beard(canvas, pose, head, mouth)
        self._mouth(canvas, pose, mouth)
        self._nose(canvas, nose)
        eyes = self._eyes(canvas, pose, values)
        self._hair_front(canvas, pose, locks)
        brows = pose.features(self._face.on_surface(self._face.brows((values[10], values[11])), 0.05))
        for side in brows:
            canvas.fill(side, who.brow_color)
        self._glasses(canvas, pose)
        lips = {name: pose.features(self._face.on_surface(part)) for name, part in mouth.items()}
        return _landmarks(outline, brows, nose, eyes, lips)

    def _solid(self, canvas: Canvas, points: Array, texture: Image) -> None:
        self._solids(canvas, [points], texture)

    def _solids(self, canvas: Canvas, shapes: list[Array], texture: Image) -> None:
        """Paint shapes of one thing: the outline runs around their union."""
        if self._line:
            for points in shapes:
                canvas.stroke(points, self.identity.ink, 2 * self._line, closed=True, silhouette=True)
        for points in shapes:
            canvas.paint(points, texture)

    def _ears(self, canvas: Canvas, pose: Pose, skin: Image) -> None:
        who = self.identity
        if who.hair_style in ("long", "bob"):
            return
        inner = mix(who.skin, (150, 50, 60), 0.3) if who.style != "sketch" else mix(who.skin, who.ink, 0.25)
        for side in (-1, 1):
            shape = ellipse(side * 1.03, 0.06, who.ear_size, who.ear_size * 1.45)
            points = np.concatenate((shape, np.full((len(shape), 1), -0.3)), 1)
            self._solid(canvas, pose.features(points), skin)
            points[:, :2] = ellipse(side * 1.06, 0.06, who.ear_size * 0.5, who.ear_size * 0.85)
            canvas.fill(pose.features(points), inner)

    def _cheeks(self, canvas: Canvas, pose: Pose) -> None:
        who = self.identity
        if who.blush < 0.1:
            return
        rosy = mix(who.skin, who.lip_color, who.blush * 0.6)
        for side in (-0.62, 0.62):
            cheek = self._face.on_surface(ellipse(side, 0.4 * self._face.aspect, 0.22, 0.15))
            canvas.fill(pose.features(cheek), rosy)

    def _beard(self, canvas: Canvas, pose: Pose, head: Array, mouth: dict[str, Array]) -> None:
        who = self.identity
        top = float(mouth["over"][:, 1].min())
        outer, inner = hair.beard(self._face, head, top)
        if len(outer):
            edge = np.concatenate((pose.silhouette(outer), pose.features(inner)))
            canvas.fill(edge, who.beard_color, silhouette=True)
        if who.beard in ("moustache", "full"):
            over = mouth["over"]
            curve = np.concatenate(
                (over * (1.12, 1) - (0, 0.15) * (1 - np.linspace(-1, 1, 13)[:, None] ** 4), over[::-1])
            )
            canvas.fill(pose.features(self._face.on_surface(curve, 0.05)), who.beard_color)

    def _mouth(self, canvas: Canvas, pose: Pose, mouth: dict[str, Array]) -> None:
        who = self.identity
        upper, lower = mouth["upper"], mouth["lower"]
        height = lower - upper
        teeth = np.concatenate((upper[1:-1], (upper + height * 0.3)[-2:0:-1]))
        tongue = np.concatenate(((lower - height * 0.36)[3:-3], lower[-4:2:-1]))
        parts = [
            np.concatenate((mouth["over"], mouth["under"][::-1])),
            np.concatenate((upper, lower[::-1])),
            teeth,
            tongue,
        ]
        points = pose.features(self._face.on_surface(np.concatenate(parts)))
        lips, inside, teeth, tongue = np.split(points, np.cumsum([len(part) for part in parts])[:-1])
        dark = mix(who.lip_color, (36, 6, 20), 0.78) if who.style != "sketch" else who.ink
        canvas.fill(lips, who.lip_color)
        if height.max() * pose.unit > 1:
            canvas.fill(inside, dark)
            light = (252, 248, 240) if who.style != "sketch" else mix(who.skin, (255, 255, 255), 0.5)
            canvas.fill(
                tongue, mix(who.lip_color, dark, 0.2) if who.style != "sketch" else mix(dark, who.skin, 0.4)
            )
            canvas.fill(teeth, light)
        canvas.stroke(inside[:13], dark, 0.012 * self._inner)

    def _nose(self, canvas: Canvas, nose: dict[str, Array]) -> None:
        who = self.identity
        if self._line:
            canvas.stroke(
                np.concatenate((nose["bridge"][2:], nose["base"][2:])),
                mix(who.skin, who.ink, 0.65),
                self._line,
            )
            canvas.stroke(nose["base"], mix(who.skin, who.ink, 0.65), self._line)
            return
        shade = mix(who.skin, (110, 30, 50), 0.24)
        canvas.fill(nose["side"], mix(who.skin, shade, 0.7))
        canvas.fill(nose["tip"], mix(who.skin, (220, 90, 80), 0.26))
        canvas.fill(nose["glint"], mix(who.skin, (255, 250, 240), 0.6))

    def _eyes(self, canvas: Canvas, pose: Pose, values: list[float]) -> dict[str, Array]:
        who = self.identity
        eyes = self._face.eyes(values[6], values[7], (values[8], values[9]))
        names = list(eyes)
        points = pose.features(self._face.on_surface(np.concatenate([eyes[name] for name in names], 1), 0.02))
        ends = np.cumsum([eyes[name].shape[1] for name in names])[:-1]
        parts = dict(zip(names, np.split(points, ends, axis=1), strict=True))
        sketch = who.style == "sketch"
        white = mix(who.skin, (255, 255, 255), 0.8) if sketch else (252, 250, 246)
        lash = who.ink if self._line else mix(who.lid_color, who.ink, 0.85)
        pupil = who.ink if sketch else (22, 16, 22)
        for side in (0, 1):
            canvas.fill(parts["white"][side], white)
            canvas.fill(parts["iris"][side], who.iris_color)
            canvas.fill(parts["pupil"][side], pupil)
            canvas.fill(parts["glint"][side], (255, 255, 255))
            upper, lower = parts["upper"][side], parts["lower"][side]
            canvas.fill(np.concatenate((parts["top"][side], upper[::-1])), who.lid_color)
            canvas.fill(
                np.concatenate((lower, parts["bottom"][side][::-1])), mix(who.skin, who.lid_color, 0.4)
            )
            canvas.stroke(upper, lash, who.lash_weight * pose.unit)
        return parts

    def _hair_front(self, canvas: Canvas, pose: Pose, locks: Image) -> None:
        who = self.identity
        shapes = [
            np.concatenate((pose.silhouette(outer), pose.features(inner))) for outer, inner in self._front
        ]
        self._solids(canvas, shapes, locks)
        if who.hair_style == "cap":
            dome, rim, brim = hair.cap(self._face)
            self._solid(
                canvas,
                np.concatenate((pose.silhouette(dome), pose.features(rim))),
                window(self._cap, pose.middle, self._inner),
            )
            canvas.fill(pose.features(brim), mix(who.clothes_color, who.ink, 0.4), silhouette=True)
        elif (
            self._front
            and who.hair_style not in ("curly", "spiky")
            and who.style in ("soft", "pop", "outline")
        ):
            canvas.fill(pose.features(hair.shine(self._face)), mix(who.hair_color, (255, 246, 230), 0.28))

    def _glasses(self, canvas: Canvas, pose: Pose) -> None:
        who = self.identity
        if who.glasses == "none":
            return
        width, height = who.eye_width * 1.26, who.eye_height * 1.26
        level = who.eye_level * self._face.aspect + 0.02
        turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        power = 1.0 if who.glasses == "round" else 0.55
        rim = np.stack([np.sign(f(turn)) * np.abs(f(turn)) ** power for f in (np.cos, np.sin)], 1) * (
            width,
            height,
        )
        thick = 0.0105 * self._inner
        for side in (-1, 1):
            ring = np.concatenate((rim + (side * who.eye_spacing, level), np.full((28, 1), DEPTH * 0.98)), 1)
            canvas.stroke(pose.features(ring), who.glasses_color, thick, closed=True)
        gap = max(0.02, who.eye_spacing - width)
        bridge = np.array(((-gap, level, DEPTH), (0, level - 0.05, DEPTH + 0.05), (gap, level, DEPTH)))
        canvas.stroke(pose.features(bridge), who.glasses_color, thick)


def _landmarks(
    outline: Array, brows: Array, nose: dict[str, Array], eyes: dict[str, Array], lips: dict[str, Array]
) -> Array:
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
