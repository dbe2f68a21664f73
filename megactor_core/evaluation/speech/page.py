"""The report of a test of speech as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from ...media.pictures import Images
from ..clips.page import page_template
from ..clips.plots import COLOURS
from ..measures.bootstrap import FEWEST
from .plots import amplitude_plot, curves_plot, lag_plot
from .report import Report, shown, tables

_TEMPLATE = Path(__file__).with_name("speech.html.jinja")
_CURVES = 4
"""Clips whose curves are drawn."""


def speech_page(report: Report, rows: Sequence[Images]) -> str:
    """HTML with plots and pictures inside.

    Args:
        report: from ``build_report``.
        rows: pictures of the first clips, see ``report.speech_rows``.
    """
    measures = report["measures"]
    plots = []
    if "lag" in measures:
        plots.append(("Lag of the opening, clips", Markup(lag_plot(measures["lag"]))))
    if "amplitude" in measures:
        plots.append(("Opening by amplitude of speech", Markup(amplitude_plot(measures["amplitude"]))))
    clips = [clip for clip in report["clips"][:_CURVES] if "own" in clip["read"]]
    return page_template(_TEMPLATE).render(
        report=report,
        settings=report["settings"],
        model=Path(report["model"]["folder"]).name,
        tables=tables(measures),
        shown=shown,
        plots=plots,
        curves=[(clip, Markup(curves_plot(clip))) for clip in clips],
        rows=rows,
        colours=COLOURS,
        fewest=FEWEST,
    )
