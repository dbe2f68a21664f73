"""Plots of an evaluation as SVG that takes the colour of the page's text."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..measures.table import Measure
from .reenactment import ClipScores
from .report import Report, clip_columns

COLOURS = {"output": "#2f80ed", "copy": "#e08a1e"}
"""Of both series; legible on white and on black."""

_LABELS = {"output": "output", "copy": "copy of portrait"}
TEXT = "#010203"
"""Stands for the page's text colour while matplotlib draws."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "megactor",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": TEXT,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}
"""Settings of matplotlib for the plots of a page."""


def measure_plot(measure: Measure, report: Report, scores: Sequence[ClipScores]) -> str:
    """SVG of one measure: each clip as a dot with the mean and its interval, and the mean over time."""
    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 1.75), layout="constrained")
        clips, time = figure.subplots(1, 2, width_ratios=(1, 1))
        _draw_clips(clips, measure, report)
        _draw_time(time, measure, scores)
        return svg(figure)


def _draw_clips(axes: Axes, measure: Measure, report: Report) -> None:
    columns = clip_columns(report["clips"], measure.name)
    for row, (name, values) in enumerate(zip(COLOURS, columns.T, strict=True)):
        # Dots of like values beside each other, in the order of the clips.
        spread = 0.18 * np.sin(2.4 * np.arange(len(values)))
        axes.scatter(values, row + spread, s=26, color=COLOURS[name], alpha=0.5, linewidths=0)
        summary = report["means"][measure.name][name]
        if summary["low"] is not None:
            axes.plot([summary["low"], summary["high"]], [row, row], color=COLOURS[name], linewidth=2.5)
        axes.plot([summary["mean"]], [row], "|", color=TEXT, markersize=16, markeredgewidth=1.6)
    axes.set_yticks([0, 1], [_LABELS[name] for name in COLOURS])
    axes.set_ylim(1.5, -0.5)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    unit = f", {measure.unit}" if measure.unit else ""
    axes.set_xlabel(f"each clip{unit}; the mean as a line")


def _draw_time(axes: Axes, measure: Measure, scores: Sequence[ClipScores]) -> None:
    for name, colour in COLOURS.items():
        values = _over_time([getattr(one, name)[measure.name] for one in scores])
        marker = "o" if len(values) < 40 else ""
        axes.plot(np.arange(len(values)), values, color=colour, linewidth=1.4, marker=marker, markersize=2.5)
    axes.grid(axis="y", color=TEXT, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frame, mean over the clips")


def _over_time(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.asarray(np.nanmean(np.stack(values), axis=0))


def svg(figure: Figure) -> str:
    """SVG of a figure that was drawn with ``STYLE``, in the colour of the page's text."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :].replace(TEXT, "currentColor")
