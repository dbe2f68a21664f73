"""How much of each source of motion reaches the result: one value for the clip, or one per frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

Keyframes = float | Sequence[float]
"""One value for all frames, or one per frame."""


@dataclass(frozen=True)
class Amplitude:
    """1 = exactly as driven, 0 = still; each a value for the clip or one per frame.

    Attributes:
        speech: factor of the audio attention, hence of how far sound moves the mouth.
        head_motion: of the driver's head: its shift, rotation and growth since the first frame.
        expression: of what differs from the clip's rest frame in the encoded driver. The head's motion in the
            picture is part of that; ``head_motion`` 0 takes it out before.
    """

    speech: Keyframes = 1.0
    head_motion: Keyframes = 1.0
    expression: Keyframes = 1.0

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            for value in values if isinstance(values, Sequence) else [values]:
                if not math.isfinite(value) or value < 0:
                    label = f"amplitude of {name.replace('_', ' ')}, {value}"
                    raise InputError(
                        label, "must be a finite number from 0", "use 1 for as driven, 0 for still"
                    )

    def frames(self, name: str, num_frames: int) -> NDArray[np.float32]:
        """Values of one of the attributes for every frame, float32 ``(num_frames,)``.

        Raises:
            InputError: keyframes of another length.
        """
        values = getattr(self, name)
        if not isinstance(values, Sequence):
            return np.full(num_frames, values, np.float32)
        if len(values) != num_frames:
            raise InputError(
                f"amplitude of {name.replace('_', ' ')}",
                f"has {len(values)} values, the clip has {num_frames} frames",
                "give one value, or one per frame",
            )
        return np.asarray(values, np.float32)


AS_DRIVEN = Amplitude()
