"""Posterior of a picture's latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..precision import CHECK_WEIGHTS, all_finite, in_float32, not_finite
from .tensors import signed_tensor

if TYPE_CHECKING:  # takes seconds to import, and preprocessing does not need it
    from diffusers import AutoencoderKL


@torch.inference_mode()
def encode_posterior(vae: AutoencoderKL, picture: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the unscaled latents of a picture, both ``(1, channels, h, w)``.

    Where the VAE overflows in its own type, it encodes in float32.

    Args:
        vae: on the device to use.
        picture: uint8 ``(H, W, 3)``.

    Raises:
        InputError: they are not finite in float32 either.
    """
    pixels = signed_tensor(picture).to(vae.device)
    encoded = _encode(vae, pixels)
    if not all(map(all_finite, encoded)):
        with in_float32(vae):
            encoded = _encode(vae, pixels)
        if not all(map(all_finite, encoded)):
            raise not_finite("an encoded picture", torch.float32, CHECK_WEIGHTS)
    return encoded


def _encode(vae: AutoencoderKL, pixels: Tensor) -> tuple[Tensor, Tensor]:
    posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
    return posterior.mean, posterior.std
