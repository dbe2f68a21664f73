"""From latents to frames, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from ..models.config import LatentSpace
from ..precision import in_float32, not_finite

LATENT_CELLS = 64 * 64
"""Latent cells decoded together: one frame of 512 pixels, more of smaller ones."""

CHECK_FRAMES = (
    "Check the VAE's weights (python -m megactor_core weights verify), and use the model's own guidance and "
    "amplitudes"
)
"""What to do where a decoded frame is not a number in float32."""

OVERFLOW_NOTE = "overflows in its number format: frames are decoded in float32"
"""What to know of a VAE."""


def decode_latents(
    vae: AutoencoderKL, latents: Tensor, on_note: Callable[[str], None] | None = None
) -> Iterator[np.ndarray]:
    """Decode scaled latents ``(1, channels, frames, h, w)``.

    Args:
        vae: on the device to use.
        latents: as sampled.
        on_note: see ``decode_frames``.

    Yields:
        One frame after the other, float32 ``(H, W, 3)`` in [0, 1].

    Raises:
        InputError, torch.OutOfMemoryError: see ``decode_frames``.
    """

    def decode(chunk: Tensor, exact: bool) -> Tensor:
        with in_float32(vae) if exact else nullcontext():
            pictures = vae.decode(chunk.to(vae.device, vae.dtype)).sample.float()
        return (pictures / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    unscaled = LatentSpace.of(vae.config).unscaled(latents[0].transpose(0, 1))
    return decode_frames(decode, unscaled, on_note)


def decode_frames(
    decode: Callable[[Tensor, bool], Tensor], latents: Tensor, on_note: Callable[[str], None] | None = None
) -> Iterator[np.ndarray]:
    """Decode a clip in chunks; where the memory does not suffice, in smaller ones from there on.

    Where a picture is not a number, as of VAEs that overflow in float16, it and those after it are decoded in
    float32.

    Args:
        decode: unscaled latents of some frames ``(n, channels, h, w)``, and whether to compute in float32
            instead of the VAE's own type -> pictures ``(n, H, W, 3)`` in [0, 1].
        latents: of all frames, unscaled ``(frames, channels, h, w)``.
        on_note: told once that float32 was needed.

    Yields:
        One picture after the other.

    Raises:
        InputError: a picture is not a number in float32 either.
        torch.OutOfMemoryError: not even one frame can be decoded.
    """
    chunk_length = max(1, LATENT_CELLS // (latents.shape[-1] * latents.shape[-2]))
    start, exact = 0, False
    while start < len(latents):
        try:
            with torch.inference_mode():
                pictures = decode(latents[start : start + chunk_length], exact)
        except torch.OutOfMemoryError:
            if chunk_length == 1:
                raise
            chunk_length //= 2
            continue
        frames = pictures.cpu().numpy()
        if not np.isnan(frames).any():
            yield from frames
            start += len(frames)
        elif exact:
            raise not_finite("a decoded frame", torch.float32, CHECK_FRAMES)
        else:
            exact = True
            if on_note is not None:
                on_note(f"the VAE {OVERFLOW_NOTE}")


def to_uint8(frame: np.ndarray) -> np.ndarray:
    """Frame in [0, 1] -> uint8, rounded."""
    return (frame * 255 + 0.5).astype(np.uint8)
