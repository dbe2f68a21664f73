"""Context windows: which frames are denoised together, and how much each frame of a window counts."""

from __future__ import annotations

from typing import Literal

from ..errors import InputError

WindowWeights = Literal["flat", "pyramid"]
WindowGrid = Literal["fixed", "shifted", "random"]


def context_windows(
    num_frames: int, context_length: int, context_overlap: int, closed_loop: bool = True
) -> list[list[int]]:
    """Frame indices of every window.

    Args:
        num_frames: frames of the clip, at least 1.
        context_length: frames of a window; a shorter clip is one window of its own length.
        context_overlap: frames shared by neighbouring windows, less than ``context_length``.
        closed_loop: the last windows wrap to the first frames, as in MegActor; otherwise the last window is
            moved back to end with the clip.

    Raises:
        InputError: an overlap that leaves no step forward.
    """
    if not 0 <= context_overlap < context_length:
        raise InputError(
            f"context overlap {context_overlap}",
            f"must be at least 0 and less than the context length {context_length}",
            "choose a smaller overlap or a longer context",
        )
    if num_frames <= context_length:
        return [list(range(num_frames))]
    stride = context_length - context_overlap
    if closed_loop:
        starts = range(0, num_frames, stride)
        return [[(start + i) % num_frames for i in range(context_length)] for start in starts]
    last = num_frames - context_length
    return [list(range(s, s + context_length)) for s in [*range(0, last, stride), last]]


def shifted_windows(
    num_frames: int, context_length: int, context_overlap: int, shift: int
) -> list[list[int]]:
    """Closed windows of a grid that begins ``shift`` frames before the clip; frames outside are left out.

    MegActor-Sigma moves the grid by one frame per step, so that no frame always lies at a window's end. Its
    windows at the ends of the clip are shorter.
    """
    length = num_frames + shift % context_length
    outside = length - num_frames
    windows = context_windows(length, context_length, context_overlap)
    return [[index - outside for index in window if index >= outside] for window in windows]


def circular_windows(
    num_frames: int, context_length: int, context_overlap: int, offset: int
) -> list[list[int]]:
    """Windows of equal length on the clip closed to a ring, the first at frame ``offset`` (X-Portrait).

    A clip shorter than a window repeats its frames in it.
    """
    stride = context_length - context_overlap
    count = max(1, -(-(num_frames - context_overlap) // stride))
    starts = range(offset, offset + count * stride, stride)
    return [[(start + i) % num_frames for i in range(context_length)] for start in starts]


def window_weights(length: int, weights: WindowWeights) -> list[float]:
    """Weight of each position of a window: all one, or rising to the middle and falling again."""
    if weights == "flat":
        return [1.0] * length
    return [float(min(i + 1, length - i)) for i in range(length)]
