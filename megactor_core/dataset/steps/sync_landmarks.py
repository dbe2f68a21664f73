"""Measure of the step ``sync`` without SyncNet: the lips' landmarks and the mouth that is heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hearing.lip_sync import lip_sync
from ...hearing.mouth_reader import MouthReader, load_mouth_reader
from ..clip_file import ClipFile
from ..parts import face_landmarks, frame_facts, has_landmarks
from ..settings import Rejected, SyncSettings
from ..shards import Entry


class LandmarkSync:
    """Correlation of the lips' landmarks with the mouth that a reader hears; see ``hearing.lip_sync``.

    Args:
        settings: thresholds.
        reader: hears mouths.
    """

    def __init__(self, settings: SyncSettings, reader: MouthReader) -> None:
        self._settings, self._reader = settings, reader

    @classmethod
    def from_files(cls, settings: SyncSettings) -> LandmarkSync:
        """With the reader that the settings name.

        Raises:
            InputError: there is none.
        """
        return cls(settings, load_mouth_reader(settings.mouth_reader))

    def __call__(self, clip: Entry, sound: NDArray[np.float32], reader: ClipFile) -> dict[str, Any]:
        """See ``Measure``."""
        settings = self._settings
        if not has_landmarks(clip):
            raise Rejected("no landmarks", "run the step faces with --landmarker, or this one with --syncnet")
        landmarks = np.where(frame_facts(clip).found[:, None, None], face_landmarks(clip), np.nan)
        found = lip_sync(landmarks, sound, float(reader.frame_rate), self._reader)
        if not found.r >= settings.minimum_r:
            raise Rejected("sync is doubtful", f"r {found.r:.2f}")
        if abs(found.lag) > settings.maximum_offset:
            raise Rejected("out of sync", f"by {found.lag} frames")
        return {"by": "landmarks", "r": round(found.r, 3), "lag": found.lag}
