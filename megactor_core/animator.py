"""Animates portraits with the core's own networks: load a model, then look, condition, sample, deliver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from .animation.animator import AnimationReport, PathLike, PortraitAnimator
from .animation.backend import CoreBackend
from .animation.checks import check_base
from .errors import InputError
from .models.config import ModelConfig
from .vision.crops import checked_size
from .vision.faces import Detector, FaceDetector
from .vision.landmarks import Landmarker, find_landmarker
from .vision.modes.registry import MODES
from .vision.person_segmenter import Segmenter, find_segmenter
from .weights.base_model import swap_base
from .weights.catalogue import find_known
from .weights.folders import models_folder
from .weights.frozen_base import check_base_record
from .weights.loading import LoadedModel, load_model
from .weights.lora import LoraReport, check_scale, merge_lora
from .weights.tensor_files import open_tensor_file

__all__ = [
    "AnimationReport",
    "Animator",
    "checked_size",
    "default_dtype",
    "find_detector",
    "find_driving_landmarker",
    "load_weights",
    "usable_device",
]


class Animator(PortraitAnimator):
    """Animates portraits with a loaded model; every step can be called on its own.

    >>> animator = Animator.from_pretrained("demo")
    >>> animator.animate("portrait.png", "driving.mp4", "result.mp4", crop="whole")

    Args:
        model: config and networks.
        detector, landmarker: find faces and their landmarks.
        loras: what was merged into the denoiser.
        segmenter: tells people from background.
    """

    def __init__(
        self,
        model: LoadedModel,
        detector: Detector | None = None,
        landmarker: Landmarker | None = None,
        loras: tuple[LoraReport, ...] = (),
        segmenter: Segmenter | None = None,
    ) -> None:
        super().__init__(CoreBackend(model), detector=detector, landmarker=landmarker, segmenter=segmenter)
        self.model = model
        self.loras = loras

    @classmethod
    def from_pretrained(
        cls,
        source: PathLike = "demo",
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        folder: PathLike | None = None,
        face_detector: PathLike | Detector | None = None,
        landmarker: Landmarker | None = None,
        person_segmenter: PathLike | Segmenter | None = None,
        base: PathLike | None = None,
        loras: Sequence[tuple[PathLike, float]] = (),
    ) -> Animator:
        """Load a model and, where their files are at hand, the face detector and the person segmenter.

        Args:
            source: ``"demo"``, ``"megactor"`` or a model folder.
            device: the accelerator where there is one, else the CPU.
            dtype: float16 on an accelerator, else float32.
            folder: the models folder, see ``weights.folders``.
            face_detector: YuNet's ONNX file or a detector; by default the file in the models folder.
            landmarker: for the contour driving mode.
            person_segmenter: MediaPipe's TFLite file or a segmenter; by default the one in the models folder.
            base: another SD1.5 checkpoint for a model whose spatial weights are SD1.5's, see ``swap_base``.
            loras: files and scales, merged in this order, see ``merge_lora``.

        Raises:
            InputError: from ``load_model``, ``swap_base``, ``merge_lora``, ``FaceDetector`` or
                ``PersonSegmenter``.
        """
        model, reports = load_weights(
            source, device=device, dtype=dtype, folder=folder, base=base, loras=loras
        )
        if face_detector is None or isinstance(face_detector, (str, os.PathLike)):
            face_detector = find_detector(face_detector, folder)
        if person_segmenter is None or isinstance(person_segmenter, (str, os.PathLike)):
            person_segmenter = find_segmenter(person_segmenter, folder)
        return cls(model, face_detector, landmarker, reports, person_segmenter)


def load_weights(
    source: PathLike,
    *,
    config: ModelConfig | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    folder: PathLike | None = None,
    base: PathLike | None = None,
    loras: Sequence[tuple[PathLike, float]] = (),
) -> tuple[LoadedModel, tuple[LoraReport, ...]]:
    """A model with another base and with LoRAs, and what was merged.

    Args:
        config: of the model's folder, where it has been read already.
        source, device, dtype, folder, base, loras: see ``Animator.from_pretrained``.

    Raises:
        InputError: from ``load_model``, ``swap_base`` or ``merge_lora``.
    """
    device = usable_device(device)
    dtype = dtype or default_dtype(device)
    for path, scale in loras:  # before minutes go into the model's own weights
        check_scale(scale)
        open_tensor_file(Path(path))
    if base is not None:
        open_tensor_file(Path(base))
    model = load_model(source, config=config, device=device, dtype=dtype, models_folder=folder, base=base)
    if base is not None:
        check_base(model.config)
        swap_base(model.networks.module("denoiser"), Path(base))
        check_base_record(model.source, model.networks.module("denoiser"), Path(base))
    denoiser = model.networks.module("denoiser")
    reports = tuple(merge_lora(denoiser, Path(path), scale) for path, scale in loras)
    for _, network in model.networks.items():
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, reports


def usable_device(device: torch.device | str | None = None) -> torch.device:
    """The device asked for; without one the accelerator where there is one, else the CPU.

    Raises:
        InputError: this machine or this PyTorch does not have it, or it holds no numbers (meta).
    """
    if device is None:
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        tried = torch.zeros(1, device=device)
        tried.item()
        return tried.device
    except (RuntimeError, AssertionError, ImportError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        problem = f"cannot be used ({reason})"
        raise InputError(f"device {device}", problem, "Use cpu, or cuda on a GPU") from error


def default_dtype(device: torch.device) -> torch.dtype:
    """float16 on an accelerator, else float32."""
    return torch.float32 if device.type == "cpu" else torch.float16


def find_detector(path: PathLike | None, folder: PathLike | None = None) -> FaceDetector | None:
    """The face detector at a path, or from the models folder, or None where neither is there.

    Raises:
        InputError: a path was given and is no detector.
    """
    if path is not None:
        return FaceDetector(Path(path))
    known = models_folder(folder) / find_known("face-detector")[0].file
    return FaceDetector(known) if known.is_file() else None


def find_driving_landmarker(
    mode: str, path: PathLike | None = None, folder: PathLike | None = None
) -> Landmarker | None:
    """The landmarker that a driving mode needs, or uses where it is at hand; None for other modes.

    Args:
        mode: how the driver is shown.
        path: MediaPipe's file; by default the one in the models folder.
        folder: the models folder.

    Raises:
        InputError: it is needed and not at hand.
    """
    landmarks = MODES[mode].landmarks
    if landmarks == "none":
        return None
    usual = models_folder(folder) / find_known("face-landmarker")[0].file
    return find_landmarker(None if path is None else Path(path), usual, needed=landmarks == "exact")
