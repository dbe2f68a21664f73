"""Step ``moves``: keeps the clips in which the head stays in its place.

Source: MegActor-Sigma (arXiv 2408.14975), the lip filter of its public data scripts.
"""

from __future__ import annotations

from ..face_measures import move_ratio
from ..parts import face_boxes
from ..settings import Kept, MovesSettings, Rejected
from ..shards import Entry


class MovesFilter:
    """Rejects a clip whose head moves far.

    Args:
        settings: thresholds.
    """

    def __init__(self, settings: MovesSettings) -> None:
        self._settings = settings

    def __call__(self, clip: Entry) -> Kept:
        """Judge by what the step ``faces`` found."""
        ratio = move_ratio(face_boxes(clip))
        if not ratio < self._settings.maximum_ratio:
            raise Rejected("the head moves far", f"by {ratio:.3f} of its size")
        return Kept(clip.sample())
