"""Makes a report again from its JSON file, and says what came out otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...errors import InputError
from ...media.pictures import check_input
from .plan import Plan
from .provenance import changes, file_digests, package_versions
from .reenactment import pair_digests
from .report import Report
from .request import EvaluationRequest

_PARTS = {"files": dict, "versions": dict, "means": dict, "clips": list, "rejected": list}


def load_report(path: Path, **changed: Any) -> tuple[Report, EvaluationRequest]:
    """A report and what it was asked for.

    Args:
        path: ``report.json``.
        changed: fields of the request that have another value now; None leaves one as it is.

    Raises:
        InputError: missing, or no report of this protocol.
    """
    remedy = "Give the report.json of an evaluation on real clips"
    try:
        report = json.loads(check_input(path).read_text(encoding="utf-8"))
        wanted = {name: value for name, value in changed.items() if value is not None}
        request = EvaluationRequest.model_validate({**report["request"], **wanted})
        if not all(isinstance(report[key], kind) for key, kind in _PARTS.items()):
            raise TypeError("a part is missing")
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(path, f"is not a report of this protocol ({problem})", remedy) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(path, "is not a report", remedy) from error
    return report, request


def check_same_inputs(path: Path, report: Report, request: EvaluationRequest, plan: Plan) -> list[str]:
    """Make sure that model and clips are those of a report.

    Args:
        path: of the report, for errors.
        report: from ``load_report``.
        request, plan: what would be evaluated now.

    Returns:
        A line for each package that has another version now.

    Raises:
        InputError: another model, other weights or other clips.
    """
    left_out = {one["name"] for one in report["rejected"]}
    then: dict[str, Any] = {}
    for clip in report["clips"]:
        then |= _facts(clip["driver"], clip["portrait"], clip["reference_frame"], clip["sha256"])
    now: dict[str, Any] = {}
    for pair in plan.pairs:
        if pair.driver.name not in left_out:
            now |= _facts(pair.driver.name, pair.portrait.name, pair.reference_frame, pair_digests(pair))
    different = changes(report["files"], file_digests(request), "sha256 of") + changes(then, now, "clip")
    if different:
        problem = f"was made with other files: {'; '.join(different)}"
        raise InputError(path, problem, "Put them back, or make a new report")
    return changes(report["versions"], package_versions(), "version of")


def _facts(driver: str, portrait: str, reference_frame: int, sha256: dict[str, str]) -> dict[str, Any]:
    return {
        f"{driver}, portrait": portrait,
        f"{driver}, reference frame": reference_frame,
        f"{driver}, sha256": sha256["driver"],
        f"{driver}, sha256 of the portrait": sha256["portrait"],
    }


def compare_numbers(then: Report, now: Report) -> list[str]:
    """A line for each measure whose means are not the same to the last bit, or whose clips are not."""
    lines = []
    for name in sorted({*then["means"], *now["means"]}):
        before, after = then["means"].get(name), now["means"].get(name)
        if before is None or after is None:
            lines.append(f"{name}: measured only {'now' if before is None else 'then'}")
        elif before != after:
            values = (f"{row['output']['mean']:.6g}" for row in (before, after))
            lines.append("{}: {} then, {} now".format(name, *values))
    if not lines and then["clips"] != now["clips"]:
        lines.append("numbers of single clips differ, the means do not")
    return lines
