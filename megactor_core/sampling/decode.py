"""From latents to frames, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

LATENT_CELLS = 64 * 64
"""Latent cells decoded together: one frame of 512 pixels, more of smaller ones."""


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> Iterator[np.ndarray]:
    """Decode scaled latents ``(1, channels, frames, h, w)``.

    Args:
        vae: on the device to use.
        latents: as sampled.

    Yields:
        One frame after the other, float32 ``(H, W, 3)`` in [0, 1].
    """
    frames = latents[0].transpose(0, 1) / vae.config.scaling_factor
    chunk_length = max(1, LATENT_CELLS // (frames.shape[-1] * frames.shape[-2]))
    for start in range(0, len(frames), chunk_length):
        with torch.inference_mode():
            chunk = frames[start : start + chunk_length].to(vae.device, vae.dtype)
            decoded = (vae.decode(chunk).sample.float() / 2 + 0.5).clamp(0, 1)
        yield from decoded.permute(0, 2, 3, 1).cpu().numpy()


def to_uint8(frame: np.ndarray) -> np.ndarray:
    """Frame in [0, 1] -> uint8, rounded."""
    return (frame * 255 + 0.5).astype(np.uint8)
