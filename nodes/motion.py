"""How much of each source of motion counts, as the Motion Amplitude node passes it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..megactor_core.amplitude import AS_DRIVEN, Amplitude, parse_keyframes

SCALED = ("speech", "head_motion", "expression")
"""Sources of motion that have an amplitude, as ``megactor_core.amplitude.Amplitude`` names them."""


@dataclass(frozen=True)
class Motion:
    """What travels as MEGACTOR_AMPLITUDE.

    Attributes:
        amplitude: of what drives.
        blink, sway: how far a portrait that only a sound drives shuts its eyes and moves its head, 0..1.
    """

    amplitude: Amplitude = AS_DRIVEN
    blink: float = 1.0
    sway: float = 1.0

    def __post_init__(self) -> None:
        from ..megactor_core.vision.still import Liveliness

        Liveliness(self.blink, self.sway)  # checks them


def read_motion(*, blink: float = 1.0, sway: float = 1.0, **widgets: Any) -> Motion:
    """The motion that the widgets of Motion Amplitude stand for.

    Args:
        blink, sway: see ``Motion``.
        widgets: a number per source of motion and, as ``SOURCE_keyframes``, text that goes before it.

    Raises:
        InputError: numbers out of range or not finite, or keyframes that cannot be read.
    """
    values = {}
    for name in SCALED:
        text = widgets.get(f"{name}_keyframes", "").strip()
        values[name] = parse_keyframes(text) if text else widgets.get(name, 1.0)
    return Motion(Amplitude(**values), blink, sway)
