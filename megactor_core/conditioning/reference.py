"""The still portrait as conditions: latents for the reference network, static channels, modulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.conditions import ReferenceCondition
from ..models.config import LatentSpace
from .posterior import encode_posterior
from .tensors import background_mask, unit_tensor

if TYPE_CHECKING:  # building networks takes seconds to import, and neither function builds any
    from ..models.denoiser import Denoiser
    from ..models.networks import Networks


@torch.inference_mode()
def encode_reference(
    networks: Networks,
    picture: np.ndarray,
    foreground: np.ndarray,
    *,
    concatenate: bool = True,
    seed: int | None = None,
) -> ReferenceCondition:
    """Encode the cropped portrait.

    Args:
        networks: VAE and denoiser on the device to use.
        picture: cropped portrait ``(S, S, 3)``, 0..255, any real dtype. The VAE sees it truncated to whole
            numbers, the modulation as it is, as in MegActor's public code.
        foreground: person mask ``(S, S)`` in 0..1.
        concatenate: whether latent and mask join the noisy latent: ``ModelConfig.concatenated_reference``.
        seed: draw the concatenated latent from the VAE's posterior with this seed, as MegActor does; without
            one it is the posterior mean.

    Returns:
        Tensors on the networks' device and in the denoiser's dtype.

    Raises:
        InputError: see ``encode_posterior``.
    """
    scaled = LatentSpace.of(networks.vae.config).scaled
    mean, deviation = encode_posterior(networks.vae, picture.astype(np.uint8))
    concatenated = scaled(mean if seed is None else sample_posterior(mean, deviation, seed))
    return reference_condition(
        networks.denoiser, picture, foreground, scaled(mean), concatenated if concatenate else None
    )


def sample_posterior(mean: Tensor, std: Tensor, seed: int) -> Tensor:
    """A sample of a VAE's posterior; the noise is drawn on the CPU, so it is the same on every device.

    Args:
        mean, std: of the unscaled latents, ``(1, channels, h, w)``.
        seed: of the noise.
    """
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    return mean + std * noise.to(mean)


@torch.inference_mode()
def reference_condition(
    denoiser: Denoiser,
    picture: np.ndarray,
    foreground: np.ndarray,
    mean: Tensor,
    concatenated: Tensor | None,
) -> ReferenceCondition:
    """The condition from latents that were encoded elsewhere.

    Args:
        denoiser: on the latents' device.
        picture: cropped portrait ``(S, S, 3)``, 0..255, any real dtype; the modulation sees it as it is.
        foreground: person mask ``(S, S)`` in 0..1.
        mean: scaled posterior mean, ``(1, channels, h, w)``.
        concatenated: scaled latent that joins the noisy latent with the mask, of the same shape: the mean or
            a sample; None where neither does.

    Returns:
        Tensors on the latents' device and in the denoiser's ``compute_dtype``.
    """
    dtype = denoiser.compute_dtype
    height, width = mean.shape[-2:]
    static = mean.new_empty(1, 0, 1, height, width)
    if concatenated is not None:
        mask = background_mask(foreground, (height, width)).to(mean)
        static = torch.cat([concatenated, mask], dim=1)[:, :, None]
    return ReferenceCondition(
        latents=mean.to(dtype),
        static_channels=static.to(dtype),
        modulation=_modulation(denoiser, picture, mean.device, dtype),
    )


def _modulation(denoiser: Denoiser, picture: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    encoder = denoiser.driving_encoder
    if encoder is None or not encoder.modulates:
        return torch.empty(1, 0, device=device, dtype=dtype)
    small = F.interpolate(unit_tensor(picture[None]), size=(encoder.reference_size,) * 2, mode="bilinear")
    return encoder.modulation(small.to(device, dtype))
