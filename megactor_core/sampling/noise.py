"""Start noise that depends on the seed and the frame index alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..seeds import frame_generator

SHARED = 2**32 - 1
"""Stream of the noise that all frames have in common; no clip has a frame of this index."""


def window_offset(seed: int, step: int, num_frames: int) -> int:
    """Random frame that the windows of a step begin with."""
    return int(torch.randint(num_frames, (), generator=frame_generator(seed, step, stream=2)))


def start_noise(seed: int, num_frames: int, shape: tuple[int, int, int], shared_noise: float = 0.0) -> Tensor:
    """Unit-variance noise ``(1, channels, frames, height, width)`` in float32 on the CPU.

    Args:
        seed: non-negative seed.
        num_frames: frames of the clip.
        shape: ``(channels, height, width)`` of one frame.
        shared_noise: share of the variance that is common to all frames ("mixed noise" of PYoCo, Ge et al.
            2023).
    """
    common = torch.randn(shape, generator=frame_generator(seed, SHARED)) * shared_noise**0.5
    frames = [
        common + torch.randn(shape, generator=frame_generator(seed, index)) * (1 - shared_noise) ** 0.5
        for index in range(num_frames)
    ]
    return torch.stack(frames, dim=1)[None]
