"""Drawing of a puppet's head, part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import hair
from .canvas import Canvas, Image
from .face import DEPTH, Array, FaceShape, ellipse
from .identity import Identity, mix
from .pose import Pose


@dataclass(frozen=True)
class Scene:
    """Drawing context of every part: canvas, head's shape and projection, outline's width (0: none)."""

    canvas: Canvas
    identity: Identity
    face: FaceShape
    pose: Pose
    line: float


def draw_solid(scene: Scene, shapes: list[Array], texture: Image) -> None:
    """Paint one thing, given as polygons in pixels; its outline runs around their union."""
    if scene.line:
        for points in shapes:
            scene.canvas.stroke(points, scene.identity.ink, 2 * scene.line, closed=True)
    for points in shapes:
        scene.canvas.paint(points, texture)


def draw_ears(scene: Scene, skin: Image) -> None:
    """Ears, behind the head; hidden by long hair."""
    who, pose = scene.identity, scene.pose
    if who.hair_style in ("long", "bob"):
        return
    inner = mix(who.skin, who.ink, 0.25) if who.style == "sketch" else mix(who.skin, (150, 50, 60), 0.3)
    for side in (-1, 1):
        shape = ellipse(side * 1.03, 0.06, who.ear_size, who.ear_size * 1.45)
        points = np.concatenate((shape, np.full((len(shape), 1), -0.3)), 1)
        draw_solid(scene, [pose.features(points)], skin)
        points[:, :2] = ellipse(side * 1.06, 0.06, who.ear_size * 0.5, who.ear_size * 0.85)
        scene.canvas.fill(pose.features(points), inner)


def draw_cheeks(scene: Scene) -> None:
    """Blush on both cheeks."""
    who = scene.identity
    if who.blush < 0.1:
        return
    rosy = mix(who.skin, who.lip_color, who.blush * 0.6)
    for side in (-0.62, 0.62):
        cheek = scene.face.on_surface(ellipse(side, 0.4 * scene.face.aspect, 0.22, 0.15))
        scene.canvas.fill(scene.pose.features(cheek), rosy)


def draw_beard(scene: Scene, head: Array, mouth: dict[str, Array]) -> None:
    """Beard and moustache; ``head`` and ``mouth``: `FaceShape.head` and `FaceShape.mouth` of the motion."""
    who, pose, over = scene.identity, scene.pose, mouth["over"]
    if who.beard in ("full", "goatee"):
        outer, inner = hair.beard(scene.face, head, float(over[:, 1].min()))
        scene.canvas.fill(np.concatenate((pose.silhouette(outer), pose.features(inner))), who.beard_color)
    if who.beard in ("full", "moustache"):
        thickness = 0.15 * (1 - np.linspace(-1, 1, len(over)) ** 4)
        upper = np.stack((over[:, 0] * 1.12, over[:, 1] - thickness), 1)
        curve = scene.face.on_surface(np.concatenate((upper, over[::-1])), 0.05)
        scene.canvas.fill(pose.features(curve), who.beard_color)


def draw_mouth(scene: Scene, mouth: dict[str, Array]) -> None:
    """Lips and, when it is open, the dark inside with teeth and tongue."""
    who, canvas = scene.identity, scene.canvas
    upper, lower = mouth["upper"], mouth["lower"]
    height = lower - upper
    parts = [
        np.concatenate((mouth["over"], mouth["under"][::-1])),
        np.concatenate((upper, lower[::-1])),
        np.concatenate((upper[1:-1], (upper + height * 0.3)[-2:0:-1])),
        np.concatenate(((lower - height * 0.36)[3:-3], lower[-4:2:-1])),
    ]
    points = scene.pose.features(scene.face.on_surface(np.concatenate(parts)))
    lips, inside, teeth, tongue = np.split(points, np.cumsum([len(part) for part in parts])[:-1])
    if who.style == "sketch":
        dark, white = who.ink, mix(who.skin, (255, 255, 255), 0.5)
        tongue_color = mix(dark, who.skin, 0.4)
    else:
        dark, white = mix(who.lip_color, (36, 6, 20), 0.78), (252, 248, 240)
        tongue_color = mix(who.lip_color, dark, 0.2)
    canvas.fill(lips, who.lip_color)
    if height.max() * scene.pose.unit > 1:
        canvas.fill(inside, dark)
        canvas.fill(tongue, tongue_color)
        canvas.fill(teeth, white)
    canvas.stroke(inside[: len(upper)], dark, 0.012 * canvas.size)


def draw_nose(scene: Scene, nose: dict[str, Array]) -> None:
    """Nose from the projected parts of `FaceShape.nose`: lines in outlined styles, shapes in the others."""
    who, canvas = scene.identity, scene.canvas
    if scene.line:
        ink = mix(who.skin, who.ink, 0.65)
        canvas.stroke(np.concatenate((nose["bridge"][2:], nose["base"][2:])), ink, scene.line)
        canvas.stroke(nose["base"], ink, scene.line)
        return
    shade = mix(who.skin, (110, 30, 50), 0.24)
    canvas.fill(nose["side"], mix(who.skin, shade, 0.7))
    canvas.fill(nose["tip"], mix(who.skin, (220, 90, 80), 0.26))
    canvas.fill(nose["glint"], mix(who.skin, (255, 250, 240), 0.6))


def draw_eyes(scene: Scene, eyes: dict[str, Array]) -> None:
    """Both eyes with their lids, from the projected parts of `FaceShape.eyes`."""
    who, canvas = scene.identity, scene.canvas
    sketch = who.style == "sketch"
    white = mix(who.skin, (255, 255, 255), 0.8) if sketch else (252, 250, 246)
    lash = who.ink if scene.line else mix(who.lid_color, who.ink, 0.85)
    pupil = who.ink if sketch else (22, 16, 22)
    for side in (0, 1):
        canvas.fill(eyes["white"][side], white)
        canvas.fill(eyes["iris"][side], who.iris_color)
        canvas.fill(eyes["pupil"][side], pupil)
        canvas.fill(eyes["glint"][side], (255, 255, 255))
        upper, lower = eyes["upper"][side], eyes["lower"][side]
        canvas.fill(np.concatenate((eyes["top"][side], upper[::-1])), who.lid_color)
        canvas.fill(np.concatenate((lower, eyes["bottom"][side][::-1])), mix(who.skin, who.lid_color, 0.4))
        canvas.stroke(upper, lash, who.lash_weight * scene.pose.unit)


def draw_front_hair(scene: Scene, shapes: list[tuple[Array, Array]], locks: Image) -> None:
    """Hair over the forehead (`hair.front_shapes`) and the light on it."""
    who, pose = scene.identity, scene.pose
    draw_solid(
        scene,
        [np.concatenate((pose.silhouette(outer), pose.features(inner))) for outer, inner in shapes],
        locks,
    )
    smooth = who.hair_style not in ("bald", "cap", "curly", "spiky")
    if smooth and who.style in ("soft", "pop", "outline"):
        scene.canvas.fill(pose.features(hair.shine(scene.face)), mix(who.hair_color, (255, 246, 230), 0.28))


def draw_cap(scene: Scene, cloth: Image) -> None:
    """A cap with its brim, over the hair."""
    who, pose = scene.identity, scene.pose
    dome, rim, brim = hair.cap(scene.face)
    draw_solid(scene, [np.concatenate((pose.silhouette(dome), pose.features(rim)))], cloth)
    scene.canvas.fill(pose.features(brim), mix(who.clothes_color, who.ink, 0.4))


def draw_glasses(scene: Scene) -> None:
    """Frames of the glasses; nothing for an identity without."""
    who, canvas, pose = scene.identity, scene.canvas, scene.pose
    if who.glasses == "none":
        return
    width, height = who.eye_width * 1.26, who.eye_height * 1.26
    level = who.eye_level * scene.face.aspect + 0.02
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    power = 1.0 if who.glasses == "round" else 0.55
    rim = np.stack([np.sign(f(turn)) * np.abs(f(turn)) ** power for f in (np.cos, np.sin)], 1)
    thick = 0.0105 * canvas.size
    for side in (-1, 1):
        flat = rim * (width, height) + np.array((side * who.eye_spacing, level))
        ring = np.concatenate((flat, np.full((len(rim), 1), DEPTH * 0.98)), 1)
        canvas.stroke(pose.features(ring), who.glasses_color, thick, closed=True)
    gap = max(0.02, who.eye_spacing - width)
    bridge = np.array(((-gap, level, DEPTH), (0, level - 0.05, DEPTH + 0.05), (gap, level, DEPTH)))
    canvas.stroke(pose.features(bridge), who.glasses_color, thick)
