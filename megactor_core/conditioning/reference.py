"""The still portrait as conditions: latents for the reference network, static channels, modulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.conditions import ReferenceCondition
from .tensors import background_mask, unit_tensor

if TYPE_CHECKING:  # building networks takes seconds to import, and no function here builds any
    from ..models.denoiser import Denoiser


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
    mask = background_mask(foreground, (mean.shape[2], mean.shape[3])).to(mean)
    return compose_reference(
        denoiser,
        unit_tensor(picture[None]),
        masks=mask,
        mean=mean,
        concatenated=concatenated,
        dtype=denoiser.compute_dtype,
    )


def compose_reference(
    denoiser: Denoiser,
    pictures: Tensor,
    *,
    masks: Tensor,
    mean: Tensor,
    concatenated: Tensor | None,
    dtype: torch.dtype | None = None,
) -> ReferenceCondition:
    """The condition of one portrait or of many, with gradients to the denoiser's weights.

    Args:
        denoiser: on the latents' device.
        pictures: cropped portraits ``(rows, 3, S, S)`` in [0, 1], on any device.
        masks: ``(rows, 1, h, w)``, 1 = background.
        mean: scaled posterior means, ``(rows, channels, h, w)``.
        concatenated: scaled latents that join the noisy ones, of the same shape; None for a model that takes
            neither these nor the masks.
        dtype: of the result; as given where there is none.
    """
    dtype = dtype or mean.dtype
    static = mean[:, :0, None]
    if concatenated is not None:
        static = torch.cat([concatenated, masks], dim=1)[:, :, None]
    return ReferenceCondition(
        latents=mean.to(dtype),
        static_channels=static.to(dtype),
        modulation=_modulation(denoiser, pictures, mean.device, dtype),
    )


def _modulation(denoiser: Denoiser, pictures: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    encoder = denoiser.driving_encoder
    if encoder is None or not encoder.modulates:
        return torch.empty(len(pictures), 0, device=device, dtype=dtype)
    small = F.interpolate(pictures, size=(encoder.reference_size,) * 2, mode="bilinear")
    return encoder.modulation(small.to(device, dtype))
