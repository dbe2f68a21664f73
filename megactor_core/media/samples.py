"""Sound in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


@dataclass(frozen=True, eq=False)
class Samples:
    """Sound samples.

    Attributes:
        values: float32 (channels, samples), -1..1; of more than two channels, in the order of FFmpeg's layout
            for that number, such as front left, front right, centre, low tones, back left, back right of 6.
        rate: samples per second.

    Raises:
        InputError: values of another shape, or a rate below 1.
    """

    values: NDArray[np.float32] = field(repr=False)
    rate: int

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.rate < 1:
            problem = f"has values of the shape {self.values.shape} at {self.rate} samples per second"
            raise InputError("sound", problem, "Give channels by samples, at a rate from 1")
