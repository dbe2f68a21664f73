"""Statistics of a set of shards, in numbers and plots."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..vision.coarse_landmarks import FIVE_POINTS, MEAN_FACE
from .clip_list import identity_of
from .face_measures import frontal_ratio, move_ratio
from .parts import face_boxes, five_points
from .shards import (
    BACKGROUND,
    CLIP,
    FACES,
    GAZE,
    METADATA,
    STYLED,
    SWAPPED,
    SYNC,
    BrokenSample,
    Entry,
    find_shards,
    open_shard,
)

_POSE_INTERVAL = 10
"""Every so many frames the head's pose is read."""
_HEAD, _GAZE = ("head yaw", "head pitch", "head roll"), ("gaze yaw", "gaze pitch")
_ANCHORS = np.stack([MEAN_FACE[list(group)].mean(axis=0) for group in FIVE_POINTS])


@dataclass(frozen=True)
class Stats:
    """Numbers for a report, and the values behind the plots.

    Attributes:
        numbers: what JSON holds: clips, hours, identities, resolutions, parts, damaged shards, broken
            samples, clips that come without facts, clips with sound, and mean and deviation of each angle in
            degrees and of each measure.
        angles: all readings of head and gaze by name, in degrees.
        measures: one reading per clip by name; of what a clip's parts do not tell there is none.
    """

    numbers: Mapping[str, Any]
    angles: Mapping[str, NDArray[np.float64]]
    measures: Mapping[str, NDArray[np.float64]]


def collect_stats(paths: Sequence[Path]) -> Stats:
    """Read the metadata of all samples; no picture is decoded. A sample that is broken is no clip.

    Args:
        paths: folders of shards, or shards.

    Raises:
        InputError: no shards.
    """
    seconds = 0.0
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("identities", "resolutions", "parts")}
    angles: dict[str, list[float]] = {name: [] for name in (*_HEAD, *_GAZE)}
    measures: dict[str, list[float]] = {name: [] for name in MEASURES}
    damaged = broken = without_facts = 0
    for path in find_shards(paths):
        shard = open_shard(path)
        damaged += bool(shard.damage)
        for clip in shard.entries:
            try:
                length, resolution, read = _facts(clip)
                measured = _measures(clip, read)
            except (BrokenSample, KeyError, TypeError, ValueError, ZeroDivisionError):
                broken += 1
                continue
            counts["parts"].update(part for part in _KNOWN if part in clip.members)
            counts["identities"][identity_of(clip)] += 1
            if METADATA not in clip.members:
                without_facts += 1
                continue
            seconds += length
            counts["resolutions"][resolution] += 1
            for name, values in read.items():
                angles[name] += values
            for name, value in measured.items():
                measures[name].append(value)
    numbers = {
        "clips": sum(counts["identities"].values()),
        "hours": round(seconds / 3600, 4),
        "identities": len(counts["identities"]),
        "clips_per_identity": dict(counts["identities"].most_common()),
        "resolutions": dict(counts["resolutions"].most_common()),
        "parts": dict(counts["parts"]),
        "damaged_shards": damaged,
        "broken_samples": broken,
        "clips_without_facts": without_facts,
        "clips_with_sound": len(measures["loudness"]),
        "angles": _summary(angles),
        "measures": _summary(measures),
    }
    return Stats(numbers, _known(angles), _known(measures))


_KNOWN = (CLIP, SWAPPED, STYLED, FACES, BACKGROUND, GAZE, SYNC)

MEASURES = {
    "frontal ratio": "share of frames",
    "move ratio": "sizes of the face",
    "yaw range": "degrees",
    "pitch range": "degrees",
    "loudness": "dB",
    "speech share": "share of frames",
    "sync confidence": "SyncNet",
    "sync offset": "frames",
    "lip r": "correlation",
    "lip lag": "frames",
}
"""Measures of a clip by their names, and their units."""
_SYNC = {"confidence": "sync confidence", "offset": "sync offset", "r": "lip r", "lag": "lip lag"}


def _known(readings: Mapping[str, Sequence[float]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array(values, np.float64) for name, values in readings.items() if values}


def _summary(readings: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"mean": round(float(values.mean()), 2), "deviation": round(float(values.std()), 2)}
        for name, values in _known(readings).items()
    }


def plot_stats(stats: Stats) -> bytes:
    """A PNG with clips per identity, resolutions, and histograms of angles and measures."""
    from matplotlib.figure import Figure

    plots = 2 + len(stats.angles) + len(stats.measures)
    columns = min(4, plots)
    rows = -(-plots // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    axes[0].hist(list(stats.numbers["clips_per_identity"].values()), bins=20)
    axes[0].set(title="clips per identity", xlabel="clips", ylabel="identities")
    resolutions = dict(list(stats.numbers["resolutions"].items())[:8])
    axes[1].barh(list(resolutions), list(resolutions.values()))
    axes[1].set(title="resolutions", xlabel="clips")
    for axis, (name, values) in zip(axes[2:], stats.angles.items(), strict=False):
        axis.hist(values, bins=40)
        axis.set(title=name, xlabel="degrees", ylabel="readings")
    for axis, (name, values) in zip(axes[2 + len(stats.angles) :], stats.measures.items(), strict=False):
        axis.hist(values, bins=40)
        axis.set(title=name, xlabel=MEASURES[name], ylabel="clips")
    for axis in axes[plots:]:
        axis.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def head_angles(points: NDArray[np.floating], size: tuple[int, int]) -> tuple[float, float, float]:
    """Yaw to the picture's right, pitch downwards and roll clockwise, in degrees.

    Args:
        points: five points of the face, (5, 2) in pixels.
        size: height and width of the picture; its longer side is taken for the focal length.
    """
    height, width = size
    camera = np.array([[max(size), 0, width / 2], [0, max(size), height / 2], [0, 0, 1]], np.float64)
    # The mean face looks along z towards the viewer, the camera along z away from it.
    anchors = _ANCHORS * (1, 1, -1)
    _, turn, _ = cv2.solvePnP(anchors, np.asarray(points, np.float64), camera, None, flags=cv2.SOLVEPNP_SQPNP)
    matrix = cv2.Rodrigues(turn)[0]
    forward = matrix @ (0, 0, -1)
    yaw = np.degrees(np.arctan2(forward[0], -forward[2]))
    pitch = np.degrees(np.arcsin(np.clip(forward[1], -1, 1)))
    roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return float(yaw), float(pitch), float(roll)


def _facts(clip: Entry) -> tuple[float, str, dict[str, list[float]]]:
    """Seconds, width x height and angles of a clip; nothing of them where it has no metadata."""
    if CLIP not in clip.members:
        raise BrokenSample("the clip is missing")
    if METADATA not in clip.members:
        return 0.0, "", {}
    facts = clip.read_json(METADATA)
    resolution = "x".join(map(str, reversed(facts["size"])))
    return facts["frames"] / facts["frame_rate"], resolution, _angles(clip, facts["size"])


def _angles(clip: Entry, size: tuple[int, int]) -> dict[str, list[float]]:
    """Readings of head and gaze by name; of what the clip's other parts do not tell there are none."""
    angles: dict[str, list[float]] = {}
    if FACES in clip.members:
        for points in five_points(clip)[::_POSE_INTERVAL]:
            for name, angle in zip(_HEAD, head_angles(points, size), strict=True):
                angles.setdefault(name, []).append(angle)
    if GAZE in clip.members:
        gaze = clip.read_json(GAZE)
        angles |= zip(_GAZE, (gaze["yaw"], gaze["pitch"]), strict=True)
    return angles


def _measures(clip: Entry, angles: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Measures of a clip by name, as far as its parts tell them; ``angles`` are its readings."""
    found: dict[str, float] = {}
    if _HEAD[0] in angles:
        found["frontal ratio"] = frontal_ratio(five_points(clip))
        found["move ratio"] = move_ratio(face_boxes(clip))
        found |= {f"{axis} range": float(np.ptp(angles[f"head {axis}"])) for axis in ("yaw", "pitch")}
    sound = clip.read_json(METADATA).get("sound") if METADATA in clip.members else None
    if sound is not None:
        found |= {"loudness": sound["loudness"], "speech share": sound["speech_share"]}
    if SYNC in clip.members:
        sync = clip.read_json(SYNC)
        found |= {name: float(sync[key]) for key, name in _SYNC.items() if key in sync}
    return found
