"""Contact sheet of evaluated clips: reference, then driver, truth and output over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from megactor_core.evaluation.puppets import ClipResult

CLIPS = 4
"""Clips that a sheet shows."""

_COLUMNS = 8


def contact_sheet(results: Sequence[ClipResult]) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): for each of the first clips the rows driver, truth and output; the reference
    stands left of the truth."""
    blocks = []
    for result in results[:CLIPS]:
        shown = np.linspace(0, len(result.truth) - 1, min(_COLUMNS, len(result.truth))).round().astype(int)
        blank = np.full_like(result.reference.image, 255)
        rows = ((blank, result.driver), (result.reference.image, result.truth), (blank, result.output))
        blocks += [np.hstack([first, *frames[shown]]) for first, frames in rows]
    return np.vstack(blocks)
