"""The report of an evaluation: means over clips as a dictionary for JSON and as a table for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...weights.loading import LoadedModel
from ..measures.bootstrap import mean_with_interval
from ..measures.correlation import pearson
from ..measures.pixels import motion_correlation
from ..model_record import model_record
from .drives import STRETCHES
from .evaluate import ClipFrames, ClipResult, EvaluationSettings, Scores

_SOUND = "a hum as loud as the driver's mouth is open, no speech"

_ROWS = {
    "autoencoder": "autoencoder (truth through the VAE)",
    "self": "self drive (the truth drives)",
    "cross": "cross identity",
    "second": "cross identity, second driver",
    "removed": "driving removed (black)",
    "shuffled": "driving shuffled (another clip's)",
    "copy": "copy of the reference",
}

_STRETCHED = {
    "wide": f"driver {STRETCHES['wide']:.2f} times as wide",
    "narrow": f"driver {STRETCHES['narrow']:.2f} times as wide",
    "reader": f"truth's pictures {STRETCHES['wide']:.2f} times as wide",
}


def build_report(
    model: LoadedModel, settings: EvaluationSettings, results: Sequence[ClipResult]
) -> dict[str, Any]:
    """Report of an evaluation, ready for JSON; equal on every run of a machine.

    Keys: ``model`` (folder, sha256 of each file); ``settings``; ``sound`` (what a model that hears was
    told); ``means`` (see ``puppet_means``); ``motion`` (correlation with the truth per parameter, of output,
    autoencoder and truth frames); ``face_axes`` (see ``_face_axes``); ``clips`` (each clip's measures).
    """
    return {
        "model": model_record(model),
        "settings": dataclasses.asdict(settings),
        **({"sound": _SOUND} if model.config.audio_encoder is not None else {}),
        "means": puppet_means(results),
        "motion": _motion(results),
        "face_axes": _face_axes(results),
        **({"scale_leak": _scale_leak(results, settings.seed)} if settings.scale_leak else {}),
        "clips": [{"index": result.index, **result.scores} for result in results],
    }


def puppet_means(results: Sequence[ClipResult]) -> dict[str, Any]:
    """The scores over all clips, ``gain`` of cross identity over others in dB of PSNR,
    ``static_flicker_ratio`` of output over autoencoder, and ``sharpness_ratio`` of output over truth."""
    means = _means([result.scores for result in results])
    psnr, still, sharpness = means["psnr"], means["static_flicker"], means["sharpness"]
    return {
        **means,
        "gain": {f"over_{name}": psnr["cross"] - psnr[name] for name in ("copy", "shuffled", "removed")},
        "static_flicker_ratio": still["output"] / max(still["autoencoder"], 1e-6),
        "sharpness_ratio": sharpness["output"] / sharpness["truth"],
    }


def _means(scores: Sequence[Scores]) -> Scores:
    return {
        measure: {name: float(np.mean([clip[measure][name] for clip in scores])) for name in values}
        for measure, values in scores[0].items()
    }


def _motion(results: Sequence[ClipResult]) -> dict[str, dict[str, float]]:
    truth = np.concatenate([result.motion for result in results])
    return {
        name: motion_correlation(np.concatenate([result.fitted[name] for result in results]), truth)
        for name in results[0].fitted
    }


def _face_axes(results: Sequence[ClipResult]) -> dict[str, dict[str, dict[str, float]]]:
    """By ``output``, ``autoencoder`` and ``truth``, of ``width`` and ``height`` of the face: ``change``, by
    how many % it is larger than the true one, and ``error``, its mean absolute value over the clips."""
    percent = {
        name: 100 * (np.stack([result.axes[name] for result in results]) - 1) for name in results[0].fitted
    }
    return {
        name: {
            axis: {"change": float(values.mean()), "error": float(np.abs(values).mean())}
            for axis, values in zip(("width", "height"), columns.T, strict=True)
        }
        for name, columns in percent.items()
    }


def _scale_leak(results: Sequence[ClipResult], seed: int) -> dict[str, Any]:
    """By how many % a driver stretched across changes the output's face, whose truth does not change: for
    ``wide`` (1.2) and ``narrow`` (1 / 1.2) drivers the ``width`` and ``height`` with intervals;
    ``correlation`` of stretch and width, both as logarithms; ``reader``, the same of the truth's own
    pictures, stretched as ``wide``: what a whole leak would be read as."""
    logs = {name: np.log([result.axes[name] for result in results]) for name in results[0].axes}
    changes = {name: logs[name] - logs["output"] for name in STRETCHES}
    changes["reader"] = logs["stretched"] - logs["truth"]
    stretch = np.repeat(np.log([*STRETCHES.values(), 1.0]), len(results))
    widths = np.concatenate([logs[name][:, 0] for name in (*STRETCHES, "output")])
    return {
        name: {
            axis: mean_with_interval(100 * np.expm1(column), seed)
            for axis, column in zip(("width", "height"), change.T, strict=True)
        }
        for name, change in changes.items()
    } | {"correlation": pearson(stretch, widths)}


def format_report(report: dict[str, Any]) -> str:
    """The means as a table of plain text."""
    means = report["means"]
    lines = [f"sound: {report['sound']}"] if "sound" in report else []
    lines.append(f"{'against the exact truth':40}{'PSNR dB':>9}{'SSIM':>8}")
    for name, label in _ROWS.items():
        lines.append(f"  {label:38}{means['psnr'][name]:9.2f}{means['ssim'][name]:8.3f}")
    lines.append("gain of cross identity, dB")
    for name, label in (
        ("copy", "over the copy"),
        ("shuffled", "over shuffled driving"),
        ("removed", "over no driving"),
    ):
        lines.append(f"  {label:38}{means['gain'][f'over_{name}']:+9.2f}")
    leakage, stillness, identity = means["leakage"], means["stillness"], means["identity"]
    lines += [
        "stillness (the reference drives itself), PSNR dB",
        *(f"  {name:38}{stillness[name]:9.2f}" for name in ("output", "autoencoder")),
        "leakage (two drivers, one motion), PSNR dB",
        f"  {'between the outputs':38}{leakage['outputs']:9.2f}",
        f"  {'that above output against truth':38}{leakage['above_truth']:+9.2f}",
        f"  {'between the drivers':38}{leakage['drivers']:9.2f}",
        f"{'identity, PSNR dB above that to':40}{'driver':>9}{'shape':>8}",
        *(
            f"  {name:38}{identity[f'{name}_over_driver']:+9.2f}{identity[f'{name}_over_shape']:+8.2f}"
            for name in ("output", "autoencoder", "copy")
        ),
        "background, PSNR dB",
        *(f"  {name:38}{means['background'][name]:9.2f}" for name in ("output", "autoencoder", "copy")),
        f"{'flicker, grey levels a frame':40}{'all':>9}{'static':>8}",
    ]
    for name in ("output", "autoencoder", "truth"):
        lines.append(f"  {name:38}{means['flicker'][name]:9.2f}{means['static_flicker'][name]:8.2f}")
    lines.append(f"  {'static: output / autoencoder':38}{'':9}{means['static_flicker_ratio']:8.2f}")
    lines.append("sharpness, energy of the Laplacian")
    lines += [f"  {name:38}{value:9.0f}" for name, value in means["sharpness"].items()]
    lines.append(f"  {'output / truth':38}{means['sharpness_ratio']:9.2f}")
    if report["face_axes"]:
        lines.append(f"{'face against the true one, error in %':40}{'width':>9}{'height':>8}")
        for name, axes in report["face_axes"].items():
            lines.append(f"  {name:38}{axes['width']['error']:9.2f}{axes['height']['error']:8.2f}")
    if "scale_leak" in report:
        leak = report["scale_leak"]
        lines.append(f"{'scale leak, change of the face in %':40}{'width':>9}{'height':>8}")
        for name, label in _STRETCHED.items():
            width, height = (leak[name][axis]["mean"] for axis in ("width", "height"))
            lines.append(f"  {label:38}{width:+9.2f}{height:+8.2f}")
        lines.append(f"  {'correlation of stretch and width':38}{leak['correlation']:9.2f}")
    if report["motion"]:
        names = list(report["motion"])
        lines.append(f"{'motion, correlation with the truth':30}" + "".join(f"{name:>13}" for name in names))
        for parameter in report["motion"][names[0]]:
            values = (report["motion"][name][parameter] for name in names)
            lines.append(f"  {parameter:28}" + "".join(f"{value:13.2f}" for value in values))
    return "\n".join(lines)


CLIPS = 4
"""Clips that a sheet has room for."""

_COLUMNS = 8


def puppet_sheet(clips: Sequence[ClipFrames]) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): for each clip the rows driver, truth and output; the reference stands left of
    the truth."""
    rows = []
    for clip in clips:
        count = len(clip.truth)
        shown = np.linspace(0, count - 1, min(_COLUMNS, count)).round().astype(int)
        blank = np.full_like(clip.reference, 255)
        for first, frames in ((blank, clip.driver), (clip.reference, clip.truth), (blank, clip.output)):
            rows.append(np.hstack([first, *frames[shown]]))
    return np.vstack(rows)
