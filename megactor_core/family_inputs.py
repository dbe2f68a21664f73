"""What a model of a family can be given; anything else is refused before work is wasted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

from .amplitude import Amplitude
from .conditioning.conditions import ControlStrength
from .errors import InputError
from .media.reading import open_driving
from .media.source import DrivingSource
from .models.config import ModelConfig
from .vision.driving import DrivingMode
from .vision.face_patches import BestFrame


def checked_mode(config: ModelConfig, mode: DrivingMode | None = None, speech: bool = False) -> DrivingMode:
    """What is shown of the driver to a model; its usual way where none is given.

    Args:
        config: of the model.
        mode: what is asked for.
        speech: whether sound moves the lips.

    Raises:
        InputError: not one of the model's.
    """
    modes = cast("tuple[DrivingMode, ...]", config.driving_modes)
    if mode is not None and mode not in modes:
        raise InputError(
            f"driving mode {mode}",
            f"is not for a model of the family {config.family}",
            f"use {' or '.join(modes)}",
        )
    return mode or modes[-1 if speech and config.audio_encoder is not None else 0]


def start_source(
    config: ModelConfig, start_video: str | os.PathLike[str] | DrivingSource, num_frames: int
) -> DrivingSource:
    """The video that sampling starts from.

    Raises:
        InputError: unusable, too short, or for a model that starts from noise alone.
    """
    source = start_video if isinstance(start_video, DrivingSource) else open_driving(start_video)
    if config.start == "noise":
        problem = f"a model of the family {config.family} starts from noise alone"
        raise InputError(f"start video {source.name}", problem, "leave it out")
    if source.num_frames < num_frames:
        problem = f"has {source.num_frames} frames, the clip has {num_frames}"
        raise InputError(f"start video {source.name}", problem, "give one that is as long")
    return source


def check_motion(config: ModelConfig, driving: bool, speech: bool, amplitude: Amplitude) -> None:
    """Refuse what a model cannot be moved by.

    Args:
        config: of the model.
        driving, speech: whether there is a driver, and sound that moves the lips.
        amplitude: of their motion.

    Raises:
        InputError: nothing drives, or the model hears nothing, or encodes no driver to scale.
    """
    hears = config.audio_encoder is not None
    if not driving and not speech:
        remedy = "Give a driving video" + (", or speech" if hears else "")
        raise InputError("driving", "nothing is given that could drive the portrait", remedy)
    needs = {"speech": speech or amplitude.speech != 1, "amplitude of expression": amplitude.expression != 1}
    has = {"speech": hears, "amplitude of expression": config.driving_encoder is not None}
    for name, needed in needs.items():
        if needed and not has[name]:
            raise InputError(
                name,
                f"a model of the family {config.family} cannot use it",
                "Leave it out, or use another model",
            )


def check_controls(
    config: ModelConfig, strengths: Mapping[str, ControlStrength], best_frame: BestFrame | None = None
) -> None:
    """Raises InputError for what only ControlNets can use, where the model has none."""
    given = [f"strength of {name}" for name in strengths]
    given += [] if best_frame is None else [f"best frame {best_frame}"]
    if given and config.control_network is None:
        raise InputError(
            ", ".join(given),
            f"a model of the family {config.family} has no ControlNets",
            "leave it out, or use an X-Portrait model",
        )
