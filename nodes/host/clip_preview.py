"""A look at a clip while it is being sampled."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from .latent_format import contact_sheet, spread
from .portrait_model import PortraitModel

# A VAE of this size decodes a preview in about the time that a preview network would take.
_SMALL_VAE_BYTES = 32 * 2**20
_PREVIEW_FRAMES = 9


def preview_sheet(model: PortraitModel, clean: Tensor) -> Image.Image:
    """Frames spread over the clip, side by side.

    Args:
        model: whose VAE made the latents.
        clean: latents without noise, scaled, ``(1, channels, frames, h, w)``.
    """
    shown = spread(clean[0].transpose(0, 1), _PREVIEW_FRAMES)
    if model.vae.patcher.model_size() <= _SMALL_VAE_BYTES:
        pictures = model.vae.decode(shown / model.config.vae["scaling_factor"])
        colours = contact_sheet(pictures.movedim(-1, 1).float())[0].movedim(0, -1)
    else:
        colours = _latent_colours(model, contact_sheet(shown)[0])
    return Image.fromarray((colours.clamp(0, 1) * 255).byte().cpu().numpy())


def _latent_colours(model: PortraitModel, sheet: Tensor) -> Tensor:
    """Colours ``(h, w, 3)`` in [0, 1] of latents ``(channels, h, w)``, four pixels a cell."""
    latent_format = model.denoiser.model.latent_format
    factors = torch.tensor(latent_format.latent_rgb_factors).to(sheet)
    bias = latent_format.latent_rgb_factors_bias
    colours = torch.einsum("chw,cr->rhw", sheet, factors)
    if bias is not None:
        colours = colours + torch.tensor(bias).to(sheet)[:, None, None]
    enlarged = torch.nn.functional.interpolate(colours[None], scale_factor=4, mode="bilinear")[0]
    return (enlarged.movedim(0, -1) + 1) / 2
