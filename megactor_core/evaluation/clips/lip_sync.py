"""Lip sync of real clips, by landmarks: the animation's beside the driver's, and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...hearing.lip_sync import LipSync, lip_sync
from ...hearing.mouth_reader import MouthReader, load_mouth_reader
from ...media.pictures import Images
from ...vision.landmarks import Landmarker, to_68
from ..measures.bootstrap import mean_with_interval

CALIBRATION = "calibrated on rendered puppets and synthetic voices; not validated on real speech"

SYNC_LABELS = {
    "output": "output",
    "other_sound": "output, against the other half of the sound",
    "silence": "output, against silence",
    "driver": "driver",
}


@dataclass(frozen=True)
class LipSyncMeter:
    """What lip sync is measured with.

    Attributes:
        landmarker: finds the lips.
        reader: tells the mouth from the sound.
    """

    landmarker: Landmarker
    reader: MouthReader

    def of(
        self, output: Images, driver: Images, sound: NDArray[np.float32], frame_rate: float
    ) -> dict[str, LipSync]:
        """Lip sync of one clip by the names of ``format_lip_sync``: of the output and of its driver with the
        clip's sound; and of the output with that sound turned by half its length, and with silence, neither
        of which it can be in time with.

        Args:
            output, driver: frames, uint8 (F, S, S, 3).
            sound: float32 (samples,), 16 kHz mono, from the first frame on.
            frame_rate: frames per second.
        """
        seen = {name: self._points(frames) for name, frames in (("output", output), ("driver", driver))}
        pairs = {
            "output": (seen["output"], sound),
            "other_sound": (seen["output"], np.roll(sound, len(sound) // 2)),
            "silence": (seen["output"], np.zeros_like(sound)),
            "driver": (seen["driver"], sound),
        }
        return {
            name: lip_sync(points, heard, frame_rate, self.reader) for name, (points, heard) in pairs.items()
        }

    def _points(self, frames: Images) -> list[NDArray[np.floating] | None]:
        found = (self.landmarker(frame) for frame in frames)
        return [None if points is None else to_68(points) for points in found]


def open_meter(landmarker: Landmarker | None, notes: list[str]) -> LipSyncMeter | None:
    """The meter, where its parts are at hand; else None, and a note."""
    if landmarker is None:
        notes.append("lip sync: MediaPipe's face landmarker is not at hand (--landmarker)")
        return None
    try:
        return LipSyncMeter(landmarker, load_mouth_reader())
    except InputError as error:
        notes.append(f"lip sync: {error}")
        return None


def lip_sync_numbers(found: dict[str, LipSync]) -> dict[str, Any]:
    """Of one clip, ready for JSON: None where there is no number."""
    return {
        name: {key: None if np.isnan(value) else value for key, value in asdict(sync).items()}
        for name, sync in found.items()
    }


def lip_sync_means(clips: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Over the clips that have a number: ``r`` at the best lag, ``r_at_0`` and ``confidence`` with intervals,
    the share ``within_1`` frame of its sound, and ``clips``, their number; empty where there is none.

    Args:
        clips: from ``lip_sync_numbers``.
        seed: of the intervals.
    """
    means: dict[str, Any] = {}
    for name in SYNC_LABELS:
        rows = [clip[name] for clip in clips if None not in clip[name].values()]
        if not rows:
            continue

        columns = {key: [row[key] for row in rows] for key in ("r", "r_at_0", "confidence")}
        columns["within_1"] = [abs(row["lag"]) <= 1 for row in rows]
        intervals = {
            key: mean_with_interval(np.array(values, np.float64), seed) for key, values in columns.items()
        }
        means[name] = {**intervals, "clips": len(rows)}
    return means


def format_lip_sync(means: dict[str, Any]) -> list[str]:
    """Lines of a table of plain text; none without clips."""
    if not means:
        return []
    lines = [
        f"lip sync, {CALIBRATION}",
        f"{'':46}{'r':>8}{'r at 0':>8}{'confid.':>9}{'within 1':>10}{'clips':>7}",
    ]
    for name, row in means.items():
        values = (row[key]["mean"] for key in ("r", "r_at_0", "confidence", "within_1"))
        r, at_0, confidence, within = values
        lines.append(
            f"  {SYNC_LABELS[name]:44}{r:8.2f}{at_0:8.2f}{confidence:9.2f}{within:10.0%}{row['clips']:7d}"
        )
    return lines
