"""The report of an evaluation on real clips as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from ..measures.bootstrap import FEWEST
from ..measures.table import MEASURES, by_name
from .lip_sync import CALIBRATION, SYNC_LABELS
from .plots import COLOURS, measure_plot
from .reenactment import ClipScores
from .report import Report
from .worst import Images, WorstClips

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def report_page(report: Report, scores: Sequence[ClipScores], worst: WorstClips) -> str:
    """HTML with plots and pictures inside.

    Args:
        report: from ``build_report``.
        scores: of the same clips.
        worst: clips to show.
    """
    plots = [
        (measure, Markup(measure_plot(measure, report, scores)))
        for measure in MEASURES
        if measure.name in report["means"]
    ]
    return page_template(_TEMPLATE).render(
        report=report,
        request=report["request"],
        model=Path(report["request"]["model"]).name,
        rows=[_row(name, row) for name, row in report["means"].items()],
        plots=plots,
        worst=worst,
        measures=[measure for measure, _ in plots],
        colours=COLOURS,
        sync_labels=SYNC_LABELS,
        calibration=CALIBRATION,
        fewest=FEWEST,
    )


def page_template(file: Path) -> Template:
    """A page's template; it may include ``style.css.jinja``, and shows pictures by the filter ``picture``."""
    environment = Environment(
        loader=FileSystemLoader((file.parent, _TEMPLATE.parent)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["picture"] = _data_address
    return environment.get_template(file.name)


def _row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """One line of the table of means, and whether the copy of the portrait is surpassed beyond chance."""
    measure, gain = by_name(name), row["gain"]
    sign = 1 if measure.higher_is_better else -1
    verdict = "unsure"
    if gain["low"] is not None:
        ends = (sign * gain["low"], sign * gain["high"])
        verdict = "better" if min(ends) > 0 else "worse" if max(ends) < 0 else "unsure"
    return {"measure": measure, "verdict": verdict, **row}


def _data_address(picture: Images) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
