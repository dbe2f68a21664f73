"""Backgrounds of puppets: smooth gradients with a few large soft shapes."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import Canvas, Image
from .identity import Color, Identity, mix

_COARSE = 96


def _circle(x: float, y: float, radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack((x + radius * np.cos(angle), y + radius * np.sin(angle)), 1) * _COARSE


def _gradient(first: Color, second: Color, angle: float) -> Image:
    grid = np.linspace(-0.5, 0.5, _COARSE, dtype=np.float32)
    ramp = 0.5 + grid[None] * np.float32(np.cos(angle)) + grid[:, None] * np.float32(np.sin(angle))
    start = np.array(first, np.float32)
    image = np.clip(ramp, 0, 1)[..., None] * (np.array(second, np.float32) - start) + (start + 0.5)
    return np.asarray(image, np.uint8)


def render_background(identity: Identity, size: int) -> Image:
    """The identity's background without the person, uint8 (size, size, 3)."""
    first, second, third = identity.background_colors
    shape = identity.background_shapes
    kind = identity.background
    canvas = Canvas(_gradient(first, second, np.pi / 2 + (shape[0] - 0.5) * 2.4), None)
    if kind == "discs":
        for k in range(3):
            x, y, radius = shape[3 * k + 1], shape[3 * k + 2] * 0.8, 0.12 + 0.2 * shape[3 * k + 3]
            canvas.fill(_circle(x, y, radius), mix(second, third, 0.35 + 0.2 * k))
    elif kind == "horizon":
        level = 0.45 + 0.25 * shape[1]
        canvas.fill(
            _circle(0.1 + 0.8 * shape[2], level - 0.12 * shape[3], 0.13), mix(second, (255, 250, 230), 0.6)
        )
        ground = np.array(((-0.1, level), (1.1, level + 0.1 * (shape[4] - 0.5)), (1.1, 1.1), (-0.1, 1.1)))
        canvas.fill(ground * _COARSE, mix(third, first, 0.25))
    elif kind == "hills":
        grid = np.linspace(-0.1, 1.1, 32)
        for k in range(2):
            level = 0.45 + 0.18 * k + 0.1 * shape[k + 1]
            ridge = level + 0.07 * np.sin(grid * (4 + 3 * shape[k + 3]) + 6.3 * shape[k + 5])
            hill = np.concatenate((np.stack((grid, ridge), 1), ((1.1, 1.2), (-0.1, 1.2))))
            canvas.fill(hill * _COARSE, mix(first, third, 0.45 + 0.4 * k))
    elif kind == "window":
        left = 0.03 + 0.5 * shape[1] * (shape[2] > 0.5) + 0.5 * (shape[2] <= 0.5)
        for k in range(2):
            x, top = left + 0.22 * k, 0.1 + 0.1 * shape[3]
            pane = np.array(((x, top), (x + 0.19, top), (x + 0.19, top + 0.5), (x, top + 0.5)))
            canvas.fill(pane * _COARSE, mix(second, (255, 252, 236), 0.55))
        floor = np.array(((-0.1, 0.78), (1.1, 0.78), (1.1, 1.1), (-0.1, 1.1)))
        canvas.fill(floor * _COARSE, mix(third, first, 0.3))
    elif kind == "halo":
        canvas.fill(_circle(0.5, 0.46, 0.42 + 0.06 * shape[1]), mix(second, third, 0.4))
        canvas.fill(_circle(0.5, 0.46, 0.32 + 0.06 * shape[1]), mix(second, third, 0.15))
    sharp = identity.style in ("outline", "pop")
    blurred = cv2.GaussianBlur(canvas.image, (0, 0), 0.8 if sharp else 2.4)
    return np.asarray(cv2.resize(blurred, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
