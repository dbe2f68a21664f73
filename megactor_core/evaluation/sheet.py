"""Contact sheet of evaluated clips: reference, then driver, truth and output over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .puppets import ClipFrames

CLIPS = 4
"""Clips that a sheet has room for."""

_COLUMNS = 8


def contact_sheet(clips: Sequence[ClipFrames]) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): for each clip the rows driver, truth and output; the reference stands left of
    the truth."""
    rows = []
    for clip in clips:
        count = len(clip.truth)
        shown = np.linspace(0, count - 1, min(_COLUMNS, count)).round().astype(int)
        blank = np.full_like(clip.reference, 255)
        for first, frames in ((blank, clip.driver), (clip.reference, clip.truth), (blank, clip.output)):
            rows.append(np.hstack([first, *frames[shown]]))
    return np.vstack(rows)
