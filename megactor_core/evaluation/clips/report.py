"""The report of an evaluation on real clips: a dictionary for JSON, and a table for people."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..measures.bootstrap import mean_with_interval
from ..measures.clip import FrameValues
from ..measures.table import FVD, MEASURES, by_name
from ..measures.video_distance import frechet_distance
from .files import RejectedClip
from .lip_sync import format_lip_sync, lip_sync_means, lip_sync_numbers
from .provenance import file_digests, package_versions
from .reenactment import ClipScores
from .request import EvaluationRequest

Report = dict[str, Any]


def build_report(
    request: EvaluationRequest,
    scores: Sequence[ClipScores],
    rejected: Sequence[RejectedClip],
    notes: Sequence[str],
) -> Report:
    """Report of an evaluation, ready for JSON; equal on every run of a machine.

    Keys: ``request``; ``files`` (sha256 of weights); ``versions`` of packages; ``notes`` (what was not
    measured and why); ``means`` (by measure: ``output``, ``copy`` and ``gain``, their difference, each with
    ``mean``, ``low``, ``high``; and ``clips``, their number); ``clips`` (driver, portrait, their sha256, and
    by measure the mean over frames of ``output`` and ``copy``, None where no frame has any); ``rejected``;
    ``lip_sync``, also of the clips, where it was measured (see ``lip_sync_means``).
    """
    clips = [_clip(one) for one in scores]
    synced = lip_sync_means([clip["lip_sync"] for clip in clips if "lip_sync" in clip], request.seed)
    means = _means(clips, request.seed)
    return {
        "request": request.model_dump(mode="json"),
        "files": file_digests(request),
        "versions": package_versions(),
        "notes": [*notes, *_without_value(clips, means)],
        "means": means | _video_distance(scores),
        **({"lip_sync": synced} if synced else {}),
        "clips": clips,
        "rejected": [{"name": one.name, "reason": one.reason} for one in rejected],
    }


def _clip(scores: ClipScores) -> Report:
    output, copy = frame_means(scores.output), frame_means(scores.copy)
    sync = {} if scores.lip_sync is None else {"lip_sync": lip_sync_numbers(scores.lip_sync)}
    return {
        **sync,
        "driver": scores.pair.driver.name,
        "portrait": scores.pair.portrait.name,
        "reference_frame": scores.pair.reference_frame,
        "sha256": scores.sha256,
        "frame_rate": scores.frame_rate,
        "notes": list(scores.notes),
        "measures": {name: {"output": output[name], "copy": copy[name]} for name in output},
    }


def frame_means(values: FrameValues) -> dict[str, float | None]:
    """Means over the frames that have a value; None where none has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        means = {name: float(np.nanmean(column)) for name, column in values.items()}
    return {name: None if np.isnan(mean) else mean for name, mean in means.items()}


def clip_columns(clips: Sequence[Report], measure: str) -> NDArray[np.float64]:
    """Output and copy of the clips that have both, (N, 2)."""
    rows = [clip["measures"][measure] for clip in clips]
    pairs = [(row["output"], row["copy"]) for row in rows if None not in row.values()]
    return np.array(pairs, np.float64).reshape(-1, 2)


def _means(clips: Sequence[Report], seed: int) -> Report:
    means: Report = {}
    for measure in MEASURES:
        if measure.name not in clips[0]["measures"]:
            continue
        output, copy = clip_columns(clips, measure.name).T
        if len(output):
            columns = {"output": output, "copy": copy, "gain": output - copy}
            means[measure.name] = {
                **{name: mean_with_interval(column, seed) for name, column in columns.items()},
                "clips": len(output),
            }
    return means


def _without_value(clips: Sequence[Report], means: Report) -> list[str]:
    """Measures without a value."""
    notes = []
    for name in clips[0]["measures"]:
        count = means[name]["clips"] if name in means else 0
        if count < len(clips):
            notes.append(f"{by_name(name).label}: {len(clips) - count} of {len(clips)} clips have no value")
    return notes


def _video_distance(scores: Sequence[ClipScores]) -> Report:
    if len(scores) < 2 or not scores[0].features:
        return {}
    features = {name: np.stack([one.features[name] for one in scores]) for name in scores[0].features}
    values = {name: frechet_distance(features[name], features["driver"]) for name in ("output", "copy")}
    values["gain"] = values["output"] - values["copy"]
    return {
        FVD.name: {
            **{name: {"mean": value, "low": None, "high": None} for name, value in values.items()},
            "clips": len(scores),
        }
    }


def format_report(report: Report) -> str:
    """The means as a table of plain text."""
    lines = [f"{'mean over clips, 95 % interval':28}{'output':>26}{'copy of portrait':>18}{'difference':>12}"]
    for name, row in report["means"].items():
        measure = by_name(name)
        label = f"{measure.label} {measure.unit}".strip()
        arrow = "higher" if measure.higher_is_better else "lower"
        low, high = row["output"]["low"], row["output"]["high"]
        value = measure.text(row["output"]["mean"])
        if low is not None:
            value += f" ({measure.text(low)} to {measure.text(high)})"
        gain = row["gain"]["mean"]
        lines.append(
            f"  {label:18}{arrow:>8}{value:>26}{measure.text(row['copy']['mean']):>18}"
            f"{gain:>+12.{measure.decimals}f}"
        )
    lines += format_lip_sync(report.get("lip_sync", {}))
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"left out: {one['name']} {one['reason']}" for one in report["rejected"]]
    return "\n".join(lines)
