"""From latents to frames, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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

    def decode(chunk: Tensor) -> Tensor:
        pictures = vae.decode(chunk.to(vae.device, vae.dtype)).sample.float()
        return (pictures / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    return decode_frames(decode, latents[0].transpose(0, 1) / vae.config.scaling_factor)


def decode_frames(decode: Callable[[Tensor], Tensor], latents: Tensor) -> Iterator[np.ndarray]:
    """Decode a clip in chunks; where the memory does not suffice, in smaller ones from there on.

    Args:
        decode: unscaled latents of some frames ``(n, channels, h, w)`` -> pictures ``(n, H, W, 3)``.
        latents: of all frames, unscaled ``(frames, channels, h, w)``.

    Yields:
        One picture after the other.

    Raises:
        torch.OutOfMemoryError: not even one frame can be decoded.
    """
    chunk_length = max(1, LATENT_CELLS // (latents.shape[-1] * latents.shape[-2]))
    start = 0
    while start < len(latents):
        try:
            with torch.inference_mode():
                pictures = decode(latents[start : start + chunk_length])
        except torch.OutOfMemoryError:
            if chunk_length == 1:
                raise
            chunk_length //= 2
        else:
            yield from pictures.cpu().numpy()
            start += len(pictures)


def to_uint8(frame: np.ndarray) -> np.ndarray:
    """Frame in [0, 1] -> uint8, rounded."""
    return (frame * 255 + 0.5).astype(np.uint8)
