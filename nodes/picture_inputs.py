"""Inputs that the nodes which look at pictures have in common, and what they stand for."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..megactor_core.animation.options import FrameOptions
from .widgets import take_options

FaceLandmarks = io.Custom("FACE_LANDMARKS")
"""The host's: what Detect Face Landmarks gives."""


def mask_input() -> io.Mask.Input:
    """Mask of the person."""
    return io.Mask.Input(
        "mask",
        optional=True,
        tooltip="Where the person is in the whole picture (white), for example from Remove Background. Load "
        "Image's mask of a cut-out, which marks what is transparent, is inverted. Without it the person is "
        "found.",
    )


def take_frames(values: dict[str, Any]) -> FrameOptions:
    """The frames that the widgets say, which count them from the first; taken out of ``values``."""
    frames = take_options(FrameOptions, values)
    if frames.stop is None:
        return frames
    return FrameOptions(start=frames.start, stop=frames.start + frames.stop)
