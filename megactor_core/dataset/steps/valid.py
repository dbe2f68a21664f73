"""Step ``valid``: keeps the clips in nearly all frames of which one person is seen, large and whole.

Source: MegActor-Sigma (arXiv 2408.14975), the landmark filter of its public data scripts. Its landmarker is
XPose, with a score for every point; here points count that lie in the picture, and by their score where the
landmarker gives one.
"""

from __future__ import annotations

import numpy as np

from ..face_measures import FrameFacts, half_sides, visible_points
from ..parts import frame_facts
from ..settings import Kept, Rejected, ValidSettings
from ..shards import Entry


class ValidFilter:
    """Rejects a clip by the frames that are not valid; the reason is what most of them lack.

    Args:
        settings: thresholds.
    """

    def __init__(self, settings: ValidSettings) -> None:
        self._settings = settings

    def __call__(self, clip: Entry) -> Kept:
        """Judge every frame by what the step ``faces`` found."""
        facts, settings = frame_facts(clip), self._settings
        count = len(facts.boxes)
        if count < settings.minimum_frames:
            raise Rejected("too few frames", f"{count}")
        faults = self.faults(facts)
        valid = sum(fault is None for fault in faults) / count
        if not valid > settings.minimum_valid:
            wrong = [fault for fault in faults if fault is not None]
            reason = max(dict.fromkeys(wrong), key=wrong.count, default="")
            raise Rejected(f"too few valid frames: {reason}", f"{valid:.1%} are valid")
        note = "nobody counted the persons" if facts.persons is None else ""
        return Kept(clip.sample(), note)

    def faults(self, facts: FrameFacts) -> list[str | None]:
        """Why each frame is not valid, None where it is."""
        settings = self._settings
        persons = facts.found.astype(int) if facts.persons is None else facts.persons
        faults = np.full(len(facts.boxes), None, object)
        points = visible_points(facts, settings.minimum_score)
        # What is written last counts: a face that is not there has no size.
        faults[half_sides(facts.boxes, facts.size) <= settings.minimum_half_side] = "the face is too small"
        faults[points < settings.minimum_points] = "landmarks are hidden"
        faults[persons > 1] = "several people"
        faults[~facts.found | (persons < 1)] = "no face"
        return list(faults)
