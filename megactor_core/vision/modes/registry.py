"""All driving modes by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .contour import CONTOUR
from .eyes import EYES, EYES_MOUTH
from .hints import HINTS
from .mode import DrivingMode
from .plain import PLAIN

MODES: Mapping[str, DrivingMode] = {mode.name: mode for mode in (PLAIN, CONTOUR, HINTS, EYES_MOUTH, EYES)}


def some_read(names: Iterable[str], option: str) -> bool:
    """Whether any of some modes reads an option of ``PlanOptions``."""
    return any(option in MODES[name].options for name in names)
