"""Checks of the inputs against what a model can use, before any work."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError
from ..families.features import (
    Feature,
    encodes_driver,
    has_controls,
    has_plain_base,
    hears,
    reads_background,
    starts_from_reference,
)
from ..families.registry import model_with
from ..models.conditions import ControlStrength
from ..models.config import ModelConfig
from ..motion import AS_DRIVEN, Amplitude
from ..vision.face_patches import BestFrame
from ..vision.modes.registry import some_read


def checked_mode(config: ModelConfig, mode: str | None = None, speech: bool = False) -> str:
    """The driving mode for a model; its usual one where none is given.

    Args:
        config: of the model.
        mode: what is asked for.
        speech: whether sound moves the lips.

    Raises:
        InputError: not one of the model's.
    """
    modes = config.driving_modes
    if mode is not None and mode not in modes:
        raise InputError(
            f"driving mode {mode}",
            f"is not for a model of the family {config.family}",
            f"use {' or '.join(modes)}",
        )
    usual = modes[-1 if speech and hears(config) else 0]
    return mode or usual


def check_start(config: ModelConfig, start_frames: int, num_frames: int, subject: str) -> None:
    """Refuse a video to start from.

    Args:
        config: of the model.
        start_frames, num_frames: of that video, and of the clip.
        subject: name of the video in error messages.

    Raises:
        InputError: too short, or for a model that starts from noise alone.
    """
    if not starts_from_reference(config):
        problem = f"a model of the family {config.family} starts from noise alone"
        raise InputError(subject, problem, "leave it out")
    if start_frames < num_frames:
        problem = f"has {start_frames} frames, the clip has {num_frames}"
        raise InputError(subject, problem, "give one that is as long")


def check_motion(config: ModelConfig, driving: bool, speech: bool, amplitude: Amplitude = AS_DRIVEN) -> None:
    """Refuse what a model cannot be moved by.

    Args:
        config: of the model.
        driving, speech: whether there is a driver, and sound that moves the lips.
        amplitude: of their motion.

    Raises:
        InputError: nothing drives, or the model hears nothing, or encodes no driver to scale.
    """
    told_by_sound = hears(config)
    if not driving and not speech:
        remedy = "Give a driving video" + (", or speech" if told_by_sound else "")
        raise InputError("driving", "nothing is given that could drive the portrait", remedy)
    needs = {"speech": speech or amplitude.speech != 1, "amplitude of expression": amplitude.expression != 1}
    has = {"speech": told_by_sound, "amplitude of expression": encodes_driver(config)}
    for name, needed in needs.items():
        if needed and not has[name]:
            raise InputError(
                name,
                f"a model of the family {config.family} cannot use it",
                "Leave it out, or use another model",
            )


def check_background(config: ModelConfig, given: bool) -> None:
    """Raises InputError where a model reads the background's tokens and has none, or the other way round."""
    reads = reads_background(config)
    if given != reads:
        raise InputError(
            "background",
            f"a model of the family {config.family} " + ("needs it" if reads else "does not read it"),
            "Encode the portrait's background for it" if reads else "Leave it out",
        )


def check_patches(config: ModelConfig, given: bool) -> None:
    """Raises InputError where ControlNets miss the eye and mouth patches, or nothing else could use them."""
    wants = has_controls(config)
    if given != wants:
        raise InputError(
            "patches",
            f"a model of the family {config.family} " + ("needs them" if wants else "cannot use them"),
            "Link the patches of Prepare Driving" if wants else "Unlink them",
        )


def check_controls(
    config: ModelConfig, strengths: Mapping[str, ControlStrength], best_frame: BestFrame | None = None
) -> None:
    """Raises InputError for what only ControlNets can use, where the model has none."""
    given = [f"strength of {name}" for name in strengths]
    if given and not has_controls(config):
        raise InputError(
            ", ".join(given),
            f"a model of the family {config.family} has no ControlNets",
            f"leave it out, or use {model_with(has_controls)}",
        )
    check_best_frame(config, best_frame)


def check_best_frame(config: ModelConfig, best_frame: BestFrame | None) -> None:
    """Raises InputError where a best frame is chosen for a model that is not shown hints."""
    chosen = _reads("best_frame")
    if best_frame not in (None, "auto") and not chosen(config):
        raise InputError(
            f"best frame {best_frame}",
            f"a model of the family {config.family} has no ControlNets",
            f"leave it out, or use {model_with(chosen)}",
        )


def check_fixed_patches(config: ModelConfig) -> None:
    """Raises InputError where patches that stay in their places are asked of a model without such patches."""
    fixed = _reads("fixed_patches")
    if not fixed(config):
        raise InputError(
            "fixed patches",
            f"a model of the family {config.family} is not shown patches that could stay in their places",
            f"Leave it off, or use {model_with(fixed)}",
        )


def check_base(config: ModelConfig) -> None:
    """Raises InputError where another base is asked for, but the model's base is no plain SD1.5."""
    if not has_plain_base(config):
        raise InputError(
            "base",
            f"a model of the family {config.family} was trained as a whole and keeps its own",
            f"Leave it out, or use {model_with(has_plain_base)}",
        )


def _reads(option: str) -> Feature:
    """The feature of models with a driving mode that an option changes."""
    return lambda config: some_read(config.driving_modes, option)
