"""Step ``frontal``: keeps the clips in which the face looks to the front.

Source: MegActor-Sigma (arXiv 2408.14975), the lip filter of its public data scripts.
"""

from __future__ import annotations

from ..face_measures import frontal_ratio
from ..parts import five_points
from ..settings import FrontalSettings, Kept, Rejected
from ..shards import Entry


class FrontalFilter:
    """Rejects a clip whose face is turned away too often.

    Args:
        settings: thresholds.
    """

    def __init__(self, settings: FrontalSettings) -> None:
        self._settings = settings

    def __call__(self, clip: Entry) -> Kept:
        """Judge by what the step ``faces`` found."""
        settings = self._settings
        ratio = frontal_ratio(five_points(clip), settings.minimum_angle, settings.maximum_angle)
        if not ratio > settings.minimum_ratio:
            raise Rejected("not frontal", f"in {1 - ratio:.1%} of the frames")
        return Kept(clip.sample())
