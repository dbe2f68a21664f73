"""What a set of shards holds, in numbers and plots."""

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
from .face_points import five_points
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
_ANCHORS = np.stack([MEAN_FACE[list(group)].mean(axis=0) for group in FIVE_POINTS])


@dataclass(frozen=True)
class Stats:
    """Numbers for a report, and the values behind the plots.

    Attributes:
        numbers: what JSON holds: clips, hours, identities, resolutions, parts, damaged shards, and mean and
            deviation of each angle in degrees.
        angles: all readings of head and gaze by name, in degrees.
    """

    numbers: Mapping[str, Any]
    angles: Mapping[str, NDArray[np.float64]]


def collect_stats(paths: Sequence[Path]) -> Stats:
    """Read the metadata of all samples; no picture is decoded.

    Args:
        paths: folders of shards, or shards.

    Raises:
        InputError: no shards.
    """
    seconds = 0.0
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("identities", "resolutions", "parts")}
    angles: dict[str, list[float]] = {
        name: [] for name in ("head yaw", "head pitch", "head roll", "gaze yaw", "gaze pitch")
    }
    damaged = broken = 0
    for path in find_shards(paths):
        shard = open_shard(path)
        damaged += bool(shard.damage)
        for clip in shard.entries:
            counts["parts"].update(part for part in _KNOWN if part in clip.members)
            counts["identities"][identity_of(clip)] += 1
            try:
                facts = clip.read_json(METADATA)
                seconds += facts["frames"] / facts["frame_rate"]
                counts["resolutions"]["x".join(map(str, reversed(facts["size"])))] += 1
                _add_angles(clip, facts["size"], angles)
            except (BrokenSample, KeyError, TypeError, ZeroDivisionError):
                broken += 1
    numbers = {
        "clips": sum(counts["identities"].values()),
        "hours": round(seconds / 3600, 4),
        "identities": len(counts["identities"]),
        "clips_per_identity": dict(counts["identities"].most_common()),
        "resolutions": dict(counts["resolutions"].most_common()),
        "parts": dict(counts["parts"]),
        "damaged_shards": damaged,
        "clips_without_facts": broken,
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


def _add_angles(clip: Entry, size: tuple[int, int], angles: dict[str, list[float]]) -> None:
    if FACES in clip.members:
        for points in five_points(clip)[::_POSE_INTERVAL]:
            head = head_angles(points, size)
            for name, value in zip(("head yaw", "head pitch", "head roll"), head, strict=True):
                angles[name].append(value)
    if GAZE in clip.members:
        gaze = clip.read_json(GAZE)
        angles["gaze yaw"] += gaze["yaw"]
        angles["gaze pitch"] += gaze["pitch"]
