"""Plots of a test of speech as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ...puppets.clips import FRAME_RATE
from ..clips.plots import COLOURS, STYLE, TEXT, svg
from ..measures.lip_motion import FURTHEST_LAG

_TRUTH, _SOUND = "#27a06b", "#8a94a6"


def curves_plot(clip: Mapping[str, Any]) -> str:
    """The mouth's opening of one clip: true, read with its own speech and in silence; and the loudness.

    Args:
        clip: of the report's ``clips``.
    """
    seconds = np.asarray(clip["at"]) / FRAME_RATE
    loudness = np.asarray(clip["loudness"])
    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 1.9), layout="constrained")
        axes = figure.subplots()
        height = loudness / max(loudness.max(), 1e-9)
        axes.fill_between(seconds, height, color=_SOUND, alpha=0.22, linewidth=0, label="loudness")
        for label, curve, colour, style in (
            ("truth", clip["truth"], _TRUTH, "-"),
            ("output", clip["read"]["own"], COLOURS["output"], "-"),
            ("output in silence", clip["read"].get("silent"), COLOURS["copy"], ":"),
        ):
            if curve is not None:
                axes.plot(seconds, curve, style, color=colour, linewidth=1.5, label=label)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("seconds")
        axes.set_ylabel("opening")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return svg(figure)


def lag_plot(lag: Mapping[str, Any]) -> str:
    """How many clips have which lag, with their own speech and with another's.

    Args:
        lag: of the report's ``measures``.
    """
    lags = np.arange(-FURTHEST_LAG, FURTHEST_LAG + 1)
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 2.2), layout="constrained")
        axes = figure.subplots()
        for name, label, colour, shift in (
            ("own", "own speech", COLOURS["output"], -0.2),
            ("shuffled", "another clip's", COLOURS["copy"], 0.2),
        ):
            axes.bar(lags + shift, lag[name]["counts"], 0.38, color=colour, label=label)
        axes.set_xticks(lags)
        axes.set_xlabel("frames late")
        axes.legend(frameon=False)
        return svg(figure)


def amplitude_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Deviation of the opening by amplitude, with intervals.

    Args:
        rows: of the report's ``measures``.
    """
    factors = [row["amplitude"] for row in rows]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 2.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(factors, [row["deviation"]["mean"] for row in rows], "o-", color=COLOURS["output"])
        for factor, row in zip(factors, rows, strict=True):
            ends = [row["deviation"]["low"], row["deviation"]["high"]]
            if None not in ends:
                axes.plot([factor, factor], ends, color=COLOURS["output"], linewidth=2.5, alpha=0.5)
        axes.grid(axis="y", color=TEXT, alpha=0.12, linewidth=0.6)
        axes.set_xticks(factors)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("amplitude of speech")
        axes.set_ylabel("deviation")
        return svg(figure)
