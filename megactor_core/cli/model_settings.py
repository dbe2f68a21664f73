"""Model options of the command line, as values of the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..animation.options import ModelOptions
from ..errors import InputError

if TYPE_CHECKING:
    from ..vision.faces import FaceDetector
    from ..vision.framing import CropMode
    from ..vision.landmarks import Landmarker


def find_face_detector(machine: ModelOptions, crops: Mapping[str, CropMode]) -> FaceDetector | None:
    """The face detector, or None where it is neither at hand nor needed.

    Args:
        machine: where its file is.
        crops: what was asked for, by the option's name.

    Raises:
        InputError: it is needed and not at hand.
    """
    from ..animator import find_detector

    detector = find_detector(machine.face_detector, machine.models_folder)
    for option, crop in crops.items():
        if crop == "face" and detector is None:
            raise InputError(
                f"{option} face",
                "needs the face detector's file, which is not on this machine",
                "Fetch it with: python -m megactor_core weights download face-detector, "
                f"or use {option} whole or a box",
            )
    return detector


def driving_landmarker(machine: ModelOptions, mode: str) -> Landmarker | None:
    """The landmarker that a mode needs, or uses where it is at hand."""
    from ..animator import find_driving_landmarker

    return find_driving_landmarker(mode, machine.landmarker, machine.models_folder)
