"""Latents of a portrait model in the host's words: scale, channels, and colours for previews."""

from __future__ import annotations

import math

import comfy.latent_formats
import torch
from torch import Tensor

from ...megactor_core.models.config import ModelConfig

_SHEET_FRAMES = 16


class PortraitLatentFormat(comfy.latent_formats.LatentFormat):
    """Scale and channels of a model's VAE; a preview shows frames of the whole clip, not only the first.

    Latents of Stable Diffusion 1.5 have known colours; others get the mean colour each channel decodes to.

    Args:
        config: of the portrait model.
        vae: the host's VAE object of the model.
    """

    def __init__(self, config: ModelConfig, vae: object) -> None:
        self.scale_factor, self.latent_channels = config.latent_space.scale, config.latent_space.channels
        self.latent_rgb_factors_reshape = latent_sheet
        known = comfy.latent_formats.SD15()
        if self.latent_channels == known.latent_channels and self.scale_factor == known.scale_factor:
            self.latent_rgb_factors = known.latent_rgb_factors
            self.taesd_decoder_name = known.taesd_decoder_name
        else:
            self.latent_rgb_factors, self.latent_rgb_factors_bias = self._decoded_colours(vae)

    def _decoded_colours(self, vae: object) -> tuple[list[list[float]], list[float]]:
        """Factors ``(channels, 3)`` and bias ``(3,)`` for colours in [-1, 1], by differences about zero."""
        steps = torch.eye(self.latent_channels)[:, :, None, None].expand(-1, -1, 4, 4) / self.scale_factor
        pictures = vae.decode(torch.cat([steps, -steps, torch.zeros_like(steps[:1])]))  # type: ignore[attr-defined]
        colours = pictures.float().mean(dim=(1, 2)) * 2 - 1
        up, down, bias = colours.split([self.latent_channels, self.latent_channels, 1])
        return ((up - down) / 2).tolist(), bias[0].tolist()


def spread(frames: Tensor, count: int) -> Tensor:
    """At most ``count`` of the frames ``(frames, ...)``, evenly spread, the first and the last among them."""
    chosen = torch.linspace(0, len(frames) - 1, min(len(frames), count), device=frames.device)
    return frames[chosen.round().long()]


def latent_sheet(latents: Tensor) -> Tensor:
    """Frames spread over a clip, side by side: ``(frames, C, h, w)`` -> ``(1, C, rows * h, columns * w)``."""
    shown = spread(latents, _SHEET_FRAMES)
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    sheet = shown.new_zeros(rows * columns, *shown.shape[1:])
    sheet[: len(shown)] = shown
    return sheet.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)[None]
