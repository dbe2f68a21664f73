"""A video whose frames the start noise is blended with, instead of with the portrait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..models.conditions import StartCondition


def encode_start(
    encode: Callable[[np.ndarray], Tensor], pictures: Iterable[np.ndarray], num_frames: int
) -> StartCondition:
    """Latents of the first frames of a video.

    Args:
        encode: one square picture, uint8 ``(S, S, 3)`` -> scaled latents ``(1, channels, h, w)``.
        pictures: the video's, at least ``num_frames``.
        num_frames: of the clip.
    """
    latents = [encode(picture).cpu() for picture in islice(pictures, num_frames)]
    return StartCondition(torch.stack(latents, dim=2))
