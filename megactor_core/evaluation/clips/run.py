"""Runs an evaluation on real clips and writes its folder: report.json, report.html, clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from ...animation.checks import checked_mode
from ...animator import Animator
from ...errors import InputError
from ...files import new_folder
from ...sampling.sampler import Progress
from ...vision.landmarks import MediaPipeLandmarker, find_landmarker
from ...vision.modes.registry import MODES
from ...weights.loading import read_config, resolve_model
from .files import RejectedClip
from .instruments import open_instruments
from .lip_sync import open_meter
from .page import report_page
from .plan import Plan
from .provenance import helper_files
from .reenactment import ClipScores, evaluate_pairs
from .report import Report, build_report
from .request import EvaluationRequest
from .worst import WorstClips

REPORT, PAGE, CLIPS = "report.json", "report.html", "clips"


def run_evaluation(
    request: EvaluationRequest,
    plan: Plan,
    output: Path,
    overwrite: bool = False,
    on_clip: Callable[[], object] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Animate, measure, report.

    Args:
        request: what is evaluated.
        plan: from ``make_plan``.
        output: folder to write; it appears when everything is done.
        overwrite: whether an earlier report in its place may be replaced.
        on_clip: called after each clip.
        on_progress: see ``sampler.sample``.

    Raises:
        InputError: a file cannot be used; no clip can be animated; the folder cannot be written.
    """
    check_folder(output, overwrite, request.data)
    scores: list[ClipScores] = []
    rejected: list[RejectedClip] = list(plan.rejected)
    worst = WorstClips(request.test)
    landmarker = _landmarker(request)
    with new_folder(output) as folder:
        instruments, notes = open_instruments(request, landmarker)
        meter = open_meter(landmarker, notes)
        (folder / CLIPS).mkdir()
        animator = Animator.from_pretrained(
            request.model,
            device=request.device,
            dtype=getattr(torch, request.dtype),
            folder=request.models_folder,
            face_detector=request.face_detector,
            landmarker=landmarker,
            base=request.base,
            loras=request.loras,
        )
        for result in evaluate_pairs(
            animator, instruments, request, plan.pairs, folder / CLIPS, on_progress, meter
        ):
            if isinstance(result, RejectedClip):
                rejected.append(result)
            else:
                worst.add(len(scores), *result)
                scores.append(result[0])
            if on_clip is not None:
                on_clip()
        if not scores:
            first = rejected[len(plan.rejected)]
            problem = f"no clip can be animated ({first.name}: {first.reason})"
            raise InputError(request.data, problem, "Give other clips, or another --crop")
        report = build_report(request, scores, rejected, notes)
        text = json.dumps(report, indent=1, allow_nan=False) + "\n"
        page = report_page(report, scores, worst)
        (folder / REPORT).write_text(text, encoding="utf-8")
        # names of files may hold bytes that are no text
        (folder / PAGE).write_text(page, encoding="utf-8", errors="backslashreplace")
        check_folder(output, overwrite, request.data)  # it may have come into being meanwhile
    return report


def check_folder(output: Path, overwrite: bool, data: Path) -> None:
    """Raises InputError where a report cannot be written to a folder, or would replace something, or would
    itself become part of the clips in ``data``."""
    if output.resolve().is_relative_to(data.resolve()):
        raise InputError(output, f"lies in the folder of the clips, {data}", "Choose a folder outside")
    if output.exists() and not output.is_dir():
        raise InputError(output, "is a file", "Give the name of a folder")
    held = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if held:
        if REPORT not in held or held - {REPORT, PAGE, CLIPS}:
            raise InputError(output, "holds other files than a report", "Give the name of a new folder")
        if not overwrite:
            problem = "holds a report already"
            raise InputError(output, problem, "Choose another folder, or allow overwriting (--overwrite)")
    if not output.absolute().parent.is_dir():
        raise InputError(output, "the folder it is to be in does not exist", "Create it, or choose another")


def _landmarker(request: EvaluationRequest) -> MediaPipeLandmarker | None:
    """MediaPipe's landmarker where it is at hand: for measuring, and for modes that place patches."""
    config = read_config(resolve_model(request.model, request.models_folder))
    mode = MODES[checked_mode(config, request.driving_mode, request.speech)]
    usual = helper_files(request)["landmarker"]
    return find_landmarker(request.landmarker, usual, mode.landmarks == "exact", details=True)
