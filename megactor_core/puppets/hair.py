"""Hair, caps and beards of puppets as polygons around the head, in the coordinates of `face.FaceShape`."""

from __future__ import annotations

import numpy as np

from .face import JAW, Array, FaceShape, ellipse

_T = np.linspace(1, -1, 15)


def _deep(points: Array, depth: float) -> Array:
    return np.concatenate((points, np.full((len(points), 1), depth)), 1)


def crown(face: FaceShape, volume: float, reach: int) -> Array:
    """Outer edge of the hair from the left temple over the crown to the right one, (2 * reach + 1, 3).

    ``reach``: how far it goes down, in steps of the head's outline (16 = level of the centre)."""
    index = np.arange(-reach, reach + 1)
    edge = face.outline[index % JAW]
    lift = volume * (0.45 + 0.55 * np.cos(index / reach * np.pi / 2))
    edge = edge * (1 + lift[:, None])
    edge[:, 2] -= 0.08
    return edge


def hairline(face: FaceShape, fringe: str, low: float) -> Array:
    """Lower edge of the front hair from the right temple to the left one, (15, 3), on the head's surface."""
    height = {
        "straight": 0.62 - 0.1 * _T**2,
        "arch": 0.86 - 0.42 * _T**2 - 0.3 * _T**6,
        "part_left": 0.6 + 0.28 * np.exp(-(((_T + 0.35) / 0.3) ** 2)) - 0.28 * _T**4,
        "part_right": 0.6 + 0.28 * np.exp(-(((_T - 0.35) / 0.3) ** 2)) - 0.28 * _T**4,
    }[fringe]
    y = -height * face.aspect
    y[[0, -1]] = low
    return face.on_surface(np.stack((_T * 0.99, y), 1), 0.04)


def back_shapes(face: FaceShape) -> list[Array]:
    """Hair behind the head and shoulders: polygons (points, 3), drawn first."""
    who = face.identity
    tall, volume = face.aspect, 1 + who.hair_volume
    angle = np.linspace(-np.pi, 0, 19)
    dome = np.stack((np.cos(angle), np.sin(angle) * tall), 1) * volume
    if who.hair_style == "long":
        fall = np.array(((1.2, 0.8), (1.26, 1.5), (1.1, 2.1), (-1.1, 2.1), (-1.26, 1.5), (-1.2, 0.8)))
        return [_deep(np.concatenate((dome, fall)), -0.35)]
    if who.hair_style == "bob":
        fall = np.array(((1.24, 0.45), (1.22, 0.85), (1.0, 1.05), (-1.0, 1.05), (-1.22, 0.85), (-1.24, 0.45)))
        return [_deep(np.concatenate((dome, fall)), -0.3)]
    if who.hair_style == "bun":
        return [_deep(ellipse(0, -1.3 * tall, 0.46, 0.4), -0.35)]
    if who.hair_style == "pigtails":
        tails = []
        for side in (-1, 1):
            tails.append(_deep(ellipse(side * 1.38, 0.28, 0.36, 0.62), -0.25))
        return tails
    if who.hair_style == "curly":
        lumps = np.linspace(-0.72, 0.72, 9) * np.pi
        radius = 0.36 + who.hair_volume
        shapes = [_deep(ellipse(0, -0.15 * tall, 1.12, tall * 1.08), -0.3)]
        for turn in lumps:
            shapes.append(
                _deep(ellipse(1.06 * np.sin(turn), -1.0 * tall * np.cos(turn), radius, radius), -0.25)
            )
        return shapes
    return []


def front_shapes(face: FaceShape) -> list[tuple[Array, Array]]:
    """Hair over the forehead: pairs of an outer edge (silhouette) and an inner edge (on the surface).

    An outer edge without points stands for a polygon that lies on the surface altogether."""
    who = face.identity
    tall, volume = face.aspect, who.hair_volume
    nothing = np.empty((0, 3))
    if who.hair_style == "bald":
        return []
    if who.hair_style == "cap":
        return [(crown(face, 0.06, 15), hairline(face, "arch", -0.02))]
    if who.hair_style == "curly":
        shapes = [(crown(face, volume, 13), hairline(face, "arch", -0.3))]
        for turn in np.linspace(-0.36, 0.36, 6) * np.pi:
            lump = ellipse(0.98 * np.sin(turn), -0.92 * tall * np.cos(turn) + 0.02, 0.33, 0.3)
            shapes.append((nothing, face.on_surface(lump, -0.1)))
        return shapes
    reach = {"short": 15, "spiky": 14, "bob": 18, "long": 18}.get(who.hair_style, 15)
    edge = crown(face, volume, reach)
    if who.hair_style == "spiky":
        tips = edge[2:-2:4].copy()
        tips *= 1.17
        edge = np.insert(edge[::4], np.arange(1, len(tips) + 1), tips, axis=0)
    low = 0.35 if who.hair_style in ("bob", "long") else -0.12
    return [(edge, hairline(face, who.fringe, low))]


def shine(face: FaceShape) -> Array:
    """A band of light on the front hair, (18, 3)."""
    side = float(np.copysign(1, np.cos(face.identity.light_angle)))
    t = np.linspace(-0.45, 0.45, 9) + 0.3 * side
    upper = np.stack((t, -np.sqrt(1 - 0.6 * t**2) * face.aspect * 1.0), 1)
    lower = np.stack((t, -np.sqrt(1 - 0.75 * t**2) * face.aspect * 0.89), 1)[::-1]
    return face.on_surface(np.concatenate((upper, lower)), -0.1)


def cap(face: FaceShape) -> tuple[Array, Array, Array]:
    """Dome's outer edge (silhouette), its lower edge and the brim, both on the surface."""
    tall = face.aspect
    rim = face.on_surface(np.stack((_T * 1.02, -tall * (0.66 - 0.2 * _T**2)), 1), 0.1)
    front = np.stack((_T * 0.86, -tall * (0.66 - 0.17 * _T**2)), 1)
    lip = np.stack((-_T * 0.86, -tall * (0.52 - 0.24 * _T**2)), 1)
    brim = np.concatenate((face.on_surface(front, 0.1), face.on_surface(lip, 0.52)))
    return crown(face, 0.18, 12), rim, brim


def beard(face: FaceShape, head: Array, mouth_top: float) -> tuple[Array, Array]:
    """Full beard or goatee: outer edge along the jaw (silhouette) and inner edge on the surface.

    ``head``: the outline for the motion; ``mouth_top``: y of the upper lip's edge."""
    if face.identity.beard == "goatee":
        chin = head[26:39].copy()
        chin[:, 1] += 0.02
        t = np.linspace(-1, 1, 9)
        return chin, face.on_surface(np.stack((t * 0.42, mouth_top + 0.28 + 0.06 * t**2), 1))
    outer = head[18:47].copy()
    outer[:, :2] *= 1.03
    t = np.linspace(-1, 1, 13)
    y = mouth_top - 0.05 - 0.3 * np.abs(t) ** 3 + 0.12 * np.exp(-(((np.abs(t) - 0.62) / 0.2) ** 2))
    return outer, face.on_surface(np.stack((t * 0.94, y), 1))
