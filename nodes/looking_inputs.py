"""Inputs that the nodes which look at pictures have in common."""

from __future__ import annotations

from comfy_api.latest import io

FaceLandmarks = io.Custom("FACE_LANDMARKS")
"""The host's: what Detect Face Landmarks gives."""


def crop_input(looked_at: str) -> io.Combo.Input:
    """How the square is chosen.

    Args:
        looked_at: what it is cut out of.
    """
    return io.Combo.Input(
        "crop",
        options=["auto", "face", "whole", "squash"],
        default="auto",
        tooltip=f"The square of the {looked_at} to use: around the face, or the largest one in the middle "
        "(whole), or all of it made square (squash). auto: around the face where one is known, else whole.",
    )


def face_input() -> io.Int.Input:
    """Which of several faces."""
    return io.Int.Input(
        "face",
        default=-1,
        min=-1,
        max=99,
        advanced=True,
        tooltip="Which of several faces, counted from the left from 0. -1: the largest.",
    )


def size_input() -> io.Int.Input:
    """Side of the square."""
    return io.Int.Input(
        "size",
        default=0,
        min=0,
        max=2048,
        step=8,
        advanced=True,
        tooltip="Side of the square in pixels; the same for portrait and driver. 0: what the model was made "
        "for.",
    )


def lost_face_input(advanced: bool) -> io.Combo.Input:
    """What frames without the face get.

    Args:
        advanced: whether it is rarely needed.
    """
    return io.Combo.Input(
        "lost_face",
        options=["hold", "interpolate", "pass"],
        default="hold",
        advanced=advanced,
        tooltip="Frames where the driver's face is not found: keep its last place (hold), move on in a "
        "straight line (interpolate), or show the whole square (pass). No frame is left out.",
    )


def frame_rate_input(tooltip: str, **options: bool) -> io.Float.Input:
    """Frames per second, where no video tells.

    Args:
        tooltip: of what.
        options: ``optional`` and ``advanced``, see ``io.Float.Input``.
    """
    return io.Float.Input(
        "frame_rate",
        default=25.0,
        min=0.01,
        max=1000.0,
        step=0.01,
        tooltip=f"Frames per second {tooltip}",
        **options,
    )


def trim_inputs() -> list[io.Input]:
    """Which driving frames to use."""
    return [
        io.Int.Input(
            "start_frame",
            default=0,
            min=0,
            max=2**31 - 1,
            tooltip="First driving frame to use, counted from 0.",
        ),
        io.Int.Input(
            "max_frames",
            default=0,
            min=0,
            max=2**31 - 1,
            tooltip="How many driving frames to use at most. 0: all.",
        ),
    ]
