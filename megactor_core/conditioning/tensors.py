"""Pictures as tensors, and the background mask at the latents' size."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def unit_tensor(images: np.ndarray) -> Tensor:
    """Pictures ``(n, H, W, 3)`` in 0..255, any real type -> float32 ``(n, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2) / 255


def signed_tensor(image: np.ndarray) -> Tensor:
    """One uint8 picture ``(H, W, 3)`` -> float32 ``(1, 3, H, W)`` in [-1, 1] (``x / 127.5 - 1``)."""
    return torch.from_numpy(image[None].astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def background_mask(foreground: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Foreground ``(H, W)`` in 0..1 -> background (1 = background) at the latents' size, ``(1, 1, h, w)``."""
    background = torch.from_numpy((foreground < 0.5).astype(np.float32))[None, None]
    return F.interpolate(background, size=size, mode="nearest")
