"""Light on puppets: textures of a lit sphere in one colour, made once for an identity."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .canvas import Image
from .identity import Color, Identity, mix

_COARSE = 48
MARGIN = 1.5
"""A texture's side in multiples of the frame's."""


def lit_sphere(identity: Identity, color: Color, size: int, strength: float = 1.0) -> Image:
    """Texture of a lit sphere of the head's size around its centre, uint8 (n, n, 3), n = MARGIN * size."""
    grid = np.linspace(-MARGIN / 2, MARGIN / 2, _COARSE, dtype=np.float32) / (identity.head_height * 1.25)
    x, y = grid[None], grid[:, None]
    radius = np.sqrt(x * x + y * y)
    bend = np.minimum(1, 0.96 / np.maximum(radius, 1e-6))
    depth = np.sqrt(np.maximum(0.05, 1 - np.minimum(radius, 0.96) ** 2))
    across = x * math.cos(identity.light_angle) + y * math.sin(identity.light_angle)
    light = bend * across * 0.72 + depth * 0.62
    if identity.style == "pop":
        light = 0.7 / (1 + np.exp(-(light - 0.12) * 14))
    elif identity.style == "outline":
        light = 0.5 + 0.35 * (light - 0.45)
    elif identity.style == "painterly":
        level = light * 3.2
        step = np.floor(level)
        edge = np.clip((level - step - 0.5) * 1.7 + 0.5, 0, 1)
        light = (step + edge * edge * (3 - 2 * edge)) / 3.2
    amount = strength * identity.light_strength
    if identity.style == "sketch":
        shadow, bright = mix(color, identity.ink, 0.3 * amount), color
    else:
        cool = identity.style in ("painterly", "pop")
        shadow = mix(color, (70, 30, 90) if cool else (90, 30, 40), 0.42 * amount)
        bright = mix(color, (255, 246, 224), 0.34 * amount)
    middle, low, high = (np.array(value, np.float32) for value in (color, shadow, bright))
    dark = np.clip((0.5 - light) / 0.75, 0, 1)[..., None]
    lit = np.clip((light - 0.5) / 0.5, 0, 1)[..., None]
    texture = (middle + 0.5) + (low - middle) * dark + (high - middle) * lit
    side = round(size * MARGIN)
    return np.asarray(
        cv2.resize(texture.astype(np.uint8), (side, side), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def window(texture: Image, centre: tuple[float, float], size: int) -> Image:
    """The part of a texture that covers a frame when the texture's middle lies at ``centre`` (pixels)."""
    slack = texture.shape[0] - size
    left = int(np.clip(round(texture.shape[0] / 2 - centre[0]), 0, slack))
    top = int(np.clip(round(texture.shape[0] / 2 - centre[1]), 0, slack))
    return texture[top : top + size, left : left + size]
