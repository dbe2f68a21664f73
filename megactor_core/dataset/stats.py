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
from .parts import five_points
from .shards import (
    BACKGROUND,
    CLIP,
    FACES,
    GAZE,
    METADATA,
    STYLED,
    SWAPPED,
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
            samples, clips that come without facts, and mean and deviation of each angle in degrees.
        angles: all readings of head and gaze by name, in degrees.
    """

    numbers: Mapping[str, Any]
    angles: Mapping[str, NDArray[np.float64]]


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
    damaged = broken = without_facts = 0
    for path in find_shards(paths):
        shard = open_shard(path)
        damaged += bool(shard.damage)
        for clip in shard.entries:
            try:
                length, resolution, read = _facts(clip)
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
        "angles": {
            name: {"mean": round(float(np.mean(values)), 2), "deviation": round(float(np.std(values)), 2)}
            for name, values in angles.items()
            if values
        },
    }
    return Stats(numbers, {name: np.array(values) for name, values in angles.items() if values})


_KNOWN = (CLIP, SWAPPED, STYLED, FACES, BACKGROUND, GAZE)


def plot_stats(stats: Stats) -> bytes:
    """A PNG with clips per identity, resolutions, and histograms of head pose and gaze."""
    from matplotlib.figure import Figure

    plots = 2 + len(stats.angles)
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
