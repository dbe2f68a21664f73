"""Provenance of a report: files and packages it was made with, compared with those of today."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ...weights.catalogue import find_known
from ...weights.download import file_sha256
from ...weights.folders import models_folder
from ...weights.loading import resolve_model
from .request import EvaluationRequest

_PACKAGES = (
    *("megactor", "torch", "diffusers", "transformers", "numpy", "av"),
    *("opencv-python", "opencv-python-headless", "opencv-contrib-python", "torchmetrics", "mediapipe"),
)


def file_digests(request: EvaluationRequest) -> dict[str, str]:
    """sha256 of the model's files and of every other file of weights, by what they are for."""
    model = resolve_model(request.model, request.models_folder)
    files = {f"model: {path.name}": path for path in sorted(model.glob("*.safetensors"))}
    files["model: config.json"] = model / "config.json"
    files |= {f"LoRA: {path.name}": path for path, _ in request.loras}
    named = {"base": request.base, **helper_files(request)}
    for name in ("lpips_weights", "identity_weights", "fvd_weights"):
        named[name] = getattr(request, name)
    files |= {name: path for name, path in named.items() if path is not None}
    return {name: file_sha256(path) for name, path in files.items() if path.is_file()}


def helper_files(request: EvaluationRequest) -> dict[str, Path]:
    """Files that look at pictures: the given ones, else those of the models folder, there or not."""
    folder = models_folder(request.models_folder)
    return {
        "face_detector": request.face_detector or folder / find_known("face-detector")[0].file,
        "landmarker": request.landmarker or folder / find_known("face-landmarker")[0].file,
        "person_segmenter": folder / find_known("person-segmenter")[0].file,
    }


def package_versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on; those that are not installed are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def changes(before: dict[str, Any], after: dict[str, Any], what: str) -> list[str]:
    """One line for each entry that is not the same in two dictionaries."""
    return [
        f"{what} {name}: {_text(before.get(name))} then, {_text(after.get(name))} now"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _text(value: object) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
