"""Types of the numbers in configurations, with their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field

LARGEST, DEEPEST = 65536, 128

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every configuration that is read by itself; its parts have it too."""

Size = Annotated[int, Field(ge=1, le=LARGEST)]
"""A width or a number of parts; there is at least one."""
Count = Annotated[int, Field(ge=0, le=LARGEST)]
"""The same, or none."""
Depth = Annotated[int, Field(ge=1, le=DEEPEST)]
"""Layers, each of which is built."""
Widths = Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
"""Of resolution levels; each halves the resolution."""
Share = Annotated[float, Field(ge=0, le=1)]


def check_heads(heads: int, widths: Sequence[int]) -> None:
    """Raises ValueError where attention heads cannot share the channels of every width evenly."""
    for width in widths:
        if width % heads:
            raise ValueError(f"{heads} attention heads cannot share {width} channels evenly")
