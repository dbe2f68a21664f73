"""Sound in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Samples:
    """Sound samples.

    Attributes:
        values: float32 (channels, samples), -1..1.
        rate: samples per second.
    """

    values: NDArray[np.float32] = field(repr=False)
    rate: int
