"""What was asked for of a model on the command line, as the core wants it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..models.conditions import ControlStrength
    from ..models.config import ModelConfig
    from ..sampling.sampler import SamplingSettings
    from ..vision.faces import FaceDetector
    from ..vision.framing import CropMode
    from ..vision.landmarks import Landmarker


def sampling_settings(args: argparse.Namespace, config: ModelConfig) -> SamplingSettings:
    """The model's sampling settings with what was given.

    Raises:
        InputError: values that the model cannot work with.
    """
    from ..sampling.sampler import SamplingSettings

    given = {
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "scheduler": args.scheduler,
        "context_length": args.context_length,
        "context_overlap": args.context_overlap,
        "noise_scale": args.noise_scale,
        "closed_loop": None if args.open_ends is None else not args.open_ends,
        "window_weights": args.window_weights,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    settings = SamplingSettings.from_defaults(config.defaults, seed=args.seed, **changes)
    settings.validate(config)
    return settings


def control_strengths(args: argparse.Namespace, config: ModelConfig) -> dict[str, ControlStrength]:
    """Strengths of the ControlNets that were given.

    Raises:
        InputError: impossible ones, or for a model without ControlNets.
    """
    from ..animation.checks import check_controls
    from ..models.conditions import ControlStrength

    given = {"face_control": args.face_control, "patch_control": args.patch_control}
    strengths = {}
    for name, values in given.items():
        if values is not None:
            try:
                strengths[name] = ControlStrength(*values)
            except InputError as error:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option}: {error.subject}", error.problem, error.remedy) from error
    check_controls(config, strengths, args.best_frame)
    return strengths


def find_face_detector(args: argparse.Namespace, crops: Mapping[str, CropMode]) -> FaceDetector | None:
    """The face detector, or None where it is neither at hand nor needed.

    Args:
        args: with ``face_detector`` and ``models_folder``.
        crops: what was asked for, by the option's name.

    Raises:
        InputError: it is needed and not at hand.
    """
    from ..animator import find_detector

    detector = find_detector(args.face_detector, args.models_folder)
    for option, crop in crops.items():
        if crop == "face" and detector is None:
            raise InputError(
                f"{option} face",
                "needs the face detector's file, which is not on this machine",
                "Fetch it with: python -m megactor_core weights download face-detector, "
                f"or use {option} whole or a box",
            )
    return detector


def driving_landmarker(args: argparse.Namespace, mode: str) -> Landmarker | None:
    """The landmarker that a mode needs, or uses where it is at hand."""
    from ..vision.landmarks import find_landmarker
    from ..vision.modes.registry import MODES
    from ..weights.catalogue import find_known
    from ..weights.folders import models_folder

    landmarks = MODES[mode].landmarks
    if landmarks == "none":
        return None
    usual = models_folder(args.models_folder) / find_known("face-landmarker")[0].file
    return find_landmarker(args.landmarker, usual, needed=landmarks == "exact")
