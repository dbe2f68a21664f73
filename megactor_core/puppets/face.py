"""Shape of a puppet's face: the three-dimensional points of every feature for a motion.

Lengths are in half head widths; x to the right, y down, z towards the viewer, from the head's centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .identity import Identity

Array = NDArray[np.float64]

DEPTH = 0.8
"""Depth of the head's front over its centre."""

ARC = 13
"""Points of a lid or lip curve."""

_T = np.linspace(-1, 1, ARC)
_ROUND = np.sqrt(1 - _T**2)
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)
_SIDES = np.array((-1.0, 1.0))
JAW = 64
"""Points of the head's outline: index 0 is the crown, then clockwise, index 32 the chin."""


def ellipse(x: float, y: float, width: float, height: float) -> Array:
    """Polygon (20, 2) of an ellipse with these half axes."""
    return np.array((x, y)) + _CIRCLE * (width, height)


class FaceShape:
    """The parts of a face that an identity fixes, and the moving ones for a motion."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.aspect = identity.head_height / identity.head_width
        self.outline = self._outline()

    def _outline(self) -> Array:
        angle = 2 * np.pi * np.arange(JAW) / JAW
        x, y = np.sin(angle), -np.cos(angle)
        low = y > 0
        x[low] = np.sign(x[low]) * np.abs(x[low]) ** self.identity.jaw_shape
        z = np.where(low, 0.36 * y**2, -0.12 * y**2)
        return np.stack((x, y * self.aspect, z), 1)

    def on_surface(self, points: Array, lift: float = 0.0) -> Array:
        """Give points (..., 2) the depth of the head's surface under them, plus ``lift``: (..., 3)."""
        x, y = points[..., 0], points[..., 1] / self.aspect
        z = DEPTH * np.sqrt(np.maximum(0.04, 1 - 0.8 * x**2 - 0.6 * y**2)) + lift
        return np.concatenate((points, z[..., None]), -1)

    def head(self, mouth_open: float) -> Array:
        """Outline of the head (64, 3) with the jaw dropped by the mouth's opening."""
        outline = self.outline.copy()
        level = np.clip(outline[:, 1] / self.aspect, 0, 1)
        outline[:, 1] += 0.19 * mouth_open * level**2
        return outline

    def eyes(self, gaze_x: float, gaze_y: float, openings: tuple[float, float]) -> dict[str, Array]:
        """Both eyes: each part (2, points, 2), the picture's left eye first.

        ``white``, ``iris``, ``pupil``, ``glint``: ellipses; ``upper``, ``lower``: lid edges (13 points from
        left to right); ``top``, ``bottom``: the socket's edges.
        """
        who = self.identity
        width, height = who.eye_width, who.eye_height
        opening = np.array(openings)[:, None]
        closed = 0.5 * height * _ROUND
        top, bottom = -height * _ROUND, height * _ROUND
        upper = closed + (top - closed) * opening
        lower = closed + (bottom - closed) * np.sqrt(opening)
        x = np.broadcast_to(_T * width, upper.shape)
        # The socket reaches a little beyond the white, so that a closed lid hides the white's soft edge.
        socket_x, top, bottom = x * 1.1, top * 1.1, bottom * 1.1
        parts = {
            "upper": np.stack((x, upper), -1),
            "lower": np.stack((x, lower), -1),
            "top": np.stack((socket_x, np.broadcast_to(top, x.shape)), -1),
            "bottom": np.stack((socket_x, np.broadcast_to(bottom, x.shape)), -1),
        }
        reach = 1 - who.iris_size
        centre = np.array(
            (
                reach * width * gaze_x * np.sqrt(1 - gaze_y**2 / 2),
                reach * height * gaze_y * np.sqrt(1 - gaze_x**2 / 2),
            )
        )
        iris = who.iris_size * min(width, height)
        glint = centre + iris * 0.36 * np.array((np.copysign(1.0, np.cos(who.light_angle)), -1.0))
        for name, middle, x_axis, y_axis in (
            ("white", np.zeros(2), width, height),
            ("iris", centre, iris, iris),
            ("pupil", centre, iris * 0.56, iris * 0.56),
            ("glint", glint, iris * 0.3, iris * 0.3),
        ):
            parts[name] = np.broadcast_to(
                ellipse(float(middle[0]), float(middle[1]), x_axis, y_axis), (2, 20, 2)
            )
        cos, sin = np.cos(who.eye_tilt), np.sin(who.eye_tilt)
        turn = np.array([((cos, s * sin), (-s * sin, cos)) for s in _SIDES])
        middle = np.stack((_SIDES * who.eye_spacing, np.full(2, who.eye_level * self.aspect)), 1)
        return {name: part @ turn + middle[:, None] for name, part in parts.items()}

    def brows(self, raises: tuple[float, float]) -> Array:
        """Both brows (2, 18, 2): upper edge from outer to inner end, then the lower edge back."""
        who = self.identity
        t = np.linspace(-1, 1, 9)
        raised = np.array(raises)[:, None]
        arch = -who.brow_arch * (1 - (t + 0.2) ** 2)
        tilt = -(0.03 + 0.09 * np.minimum(raised, 0)) * t
        base = who.eye_level * self.aspect - who.eye_height - 0.19 - 0.17 * raised + arch + tilt
        half = who.brow_thickness * 0.5 * (0.55 + 0.45 * np.sqrt(np.maximum(0, 1 - ((t - 0.3) / 1.35) ** 2)))
        x = np.broadcast_to(t * who.brow_length - 0.02, base.shape)
        upper, lower = np.stack((x, base - half), -1), np.stack((x, base + half), -1)
        brows = np.concatenate((upper, lower[:, ::-1]), 1)
        brows[1, :, 0] *= -1
        brows[..., 0] += (_SIDES * who.eye_spacing)[:, None]
        return brows

    def nose(self) -> dict[str, Array]:
        """``tip``, ``glint`` and ``wings`` of the nose (points, 3), ``bridge`` (4, 3), ``base`` (5, 3)."""
        who = self.identity
        level = 0.28 * self.aspect
        width, size = who.nose_width, who.nose_size
        start = who.eye_level * self.aspect
        bridge = np.stack((np.zeros(4), np.linspace(start, level, 4)), 1)
        base = np.stack(
            (np.linspace(-width, width, 5), level + size * np.array((0.5, 0.75, 0.85, 0.75, 0.5))), 1
        )
        lifts = np.linspace(0.05, 1, 4)[:, None] * (0, 0, 0.3)
        side = np.concatenate((bridge[1:], base[2:], ((width * 1.05, level),)))
        return {
            "tip": self.on_surface(ellipse(0, level, width * 0.95, size * 0.85), 0.26),
            "glint": self.on_surface(ellipse(-0.03, level - size * 0.35, width * 0.36, size * 0.26), 0.3),
            "side": self.on_surface(side, 0.16),
            "bridge": self.on_surface(bridge) + lifts,
            "base": self.on_surface(base, 0.2),
        }

    def mouth(self, opening: float, width: float, smile: float) -> dict[str, Array]:
        """Lip curves, 13 points (2,) each from left to right: ``over`` and ``upper`` bound the upper lip,
        ``lower`` and ``under`` the lower lip, the mouth opens between ``upper`` and ``lower``."""
        who = self.identity
        half = who.mouth_size * (1 + 0.36 * width) * (1 - 0.12 * opening)
        gap = 0.58 * opening
        bend = 1 - _T**2
        full = bend**0.6
        middle = who.mouth_level * self.aspect * 0.82 - (0.09 + 0.2 * smile) * (_T**2 - 0.4)
        lip = who.lip_thickness * (1 - 0.25 * width)
        cupid = 1 - 0.28 * np.exp(-((_T / 0.16) ** 2))
        upper = middle - 0.32 * gap * full
        lower = middle + 0.68 * gap * full
        curves = {
            "over": upper - lip * full * cupid,
            "upper": upper,
            "lower": lower,
            "under": lower + 1.25 * lip * full,
        }
        return {name: np.stack((_T * half, y), 1) for name, y in curves.items()}
