"""Neck, shoulders and clothes of puppets; they follow the head at a distance."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Image
from .identity import Identity, mix
from .pose import HEAD_LEVEL, Pose

_FOLLOW = np.array((0.75, 0.6))


def draw_body(canvas: Canvas, identity: Identity, pose: Pose, skin: Image, line: float) -> None:
    """Draw neck and clothes below the head.

    ``skin``: texture of the frame's size; ``line``: width of the outline in pixels, 0 for none."""
    who, size, zoom = identity, pose.size, pose.zoom
    level = 0.5 + (HEAD_LEVEL + who.head_height - 0.5) * zoom + 0.03 * zoom
    middle = np.array((0.5, level)) + pose.shift * _FOLLOW

    def place(points: np.ndarray) -> np.ndarray:
        return (middle + points * zoom) * size - 0.5

    neck = who.head_width * 0.44
    wide = who.shoulder_width
    chin = pose.silhouette(np.array(((-0.46, 0.55, -0.1), (0.46, 0.55, -0.1))))
    base = place(np.array(((neck * 1.15, 0.13), (-neck * 1.15, 0.13))))
    column = np.concatenate((chin, base))
    canvas.paint(column, skin)
    t = np.linspace(0, 1, 9)
    slope = np.stack(
        (
            neck * 0.9 + (wide - neck * 0.9) * np.sin(t * np.pi / 2),
            0.045 + 0.14 * (1 - np.cos(t * np.pi / 2)),
        ),
        1,
    )
    right = np.concatenate((slope, ((wide * 1.06, 0.6),)))
    torso = np.concatenate((right, right[::-1] * (-1, 1)))
    shade = who.ink if who.style == "sketch" else (50, 30, 60)
    dark = mix(who.skin, shade, 0.28)
    _shadow(canvas, column, dark)
    if line:
        canvas.stroke(column[[0, 3]], who.ink, line)
        canvas.stroke(column[[1, 2]], who.ink, line)
        canvas.stroke(place(torso), who.ink, 2 * line)
    canvas.fill(place(torso), who.clothes_color)
    dip = np.linspace(-1, 1, 11)
    scoop = np.stack((dip * neck * 1.2, 0.04 + 0.05 * (1 - dip**2)), 1)
    if who.clothes == "stripes":
        for k in range(2):
            x = np.linspace(-wide * (0.88 + 0.12 * k), wide * (0.88 + 0.12 * k), 9)
            y = 0.125 + 0.085 * k + 0.02 * (1 - (x / wide) ** 2)
            band = np.concatenate((np.stack((x, y), 1), np.stack((x, y + 0.036), 1)[::-1]))
            canvas.fill(place(band), who.accent_color)
    if who.clothes in ("crew", "stripes"):
        ring = np.concatenate((scoop, (scoop * (1.16, 1) + (0, 0.028))[::-1]))
        canvas.fill(place(scoop), dark)
        canvas.fill(place(ring), who.accent_color)
    elif who.clothes == "vneck":
        vee = np.array(((-neck * 1.15, 0.03), (neck * 1.15, 0.03), (0, 0.17)))
        canvas.fill(place(vee * (1.3, 1.2)), who.accent_color)
        canvas.fill(place(vee), dark)
    elif who.clothes == "turtleneck":
        tube = np.array(
            ((-neck * 1.2, -0.005), (neck * 1.2, -0.005), (neck * 1.32, 0.09), (-neck * 1.32, 0.09))
        )
        canvas.fill(place(tube), mix(who.clothes_color, shade, 0.18))
    else:
        canvas.fill(place(scoop), dark)
        for side in (-1, 1):
            flap = np.array(((0.1 * neck, 0.1), (neck * 1.35, 0.0), (neck * 2.0, 0.09), (neck * 0.9, 0.16)))
            canvas.fill(place(flap * (side, 1)), who.accent_color)


def _shadow(canvas: Canvas, column: np.ndarray, color: tuple[int, int, int]) -> None:
    """The head's shadow on the neck: the column's upper part."""
    left, right = column[3] - column[0], column[2] - column[1]
    canvas.fill(np.stack((column[0], column[1], column[1] + right * 0.72, column[0] + left * 0.72)), color)
