"""The still portrait as conditions: latents for the reference network, static channels, modulation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..models.build import Networks
from .conditions import ReferenceCondition
from .tensors import background_mask, signed_tensor, unit_tensor


@torch.inference_mode()
def encode_reference(
    networks: Networks, picture: np.ndarray, foreground: np.ndarray, *, seed: int | None = None
) -> ReferenceCondition:
    """Encode the cropped portrait.

    Args:
        networks: VAE and denoiser on the device to use.
        picture: cropped portrait ``(S, S, 3)``, 0..255, any real dtype. The VAE sees it truncated to whole
            numbers, the modulation as it is, as in MegActor's public code.
        foreground: person mask ``(S, S)`` in 0..1.
        seed: draw the concatenated latent from the VAE's posterior with this seed, as MegActor does; without
            one it is the posterior mean.

    Returns:
        Tensors on the networks' device and in the denoiser's dtype.
    """
    vae, denoiser = networks.vae, networks.denoiser
    weight = denoiser.conv_in.weight
    posterior = vae.encode(signed_tensor(picture.astype(np.uint8)).to(vae.device, vae.dtype)).latent_dist
    mean = posterior.mean * vae.config.scaling_factor
    concatenated = mean
    if seed is not None:
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)).to(mean)
        concatenated = (posterior.mean + posterior.std * noise) * vae.config.scaling_factor
    mask = background_mask(foreground, tuple(mean.shape[-2:])).to(mean)
    encoder = denoiser.condition_input_layer
    small = F.interpolate(unit_tensor(picture[None]), size=(encoder.reference_size,) * 2, mode="bilinear")
    return ReferenceCondition(
        latents=mean.to(weight),
        static_channels=torch.cat([concatenated, mask], dim=1)[:, :, None].to(weight),
        modulation=encoder.modulation(small.to(weight)),
    )
