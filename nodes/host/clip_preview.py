"""A look at a clip while it is being sampled: a still sheet for any client, an animation for the page."""

from __future__ import annotations

import base64
import io

import torch
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context
from PIL import Image
from torch import Tensor

from .latent_format import latent_sheet, spread
from .portrait_model import PortraitModel

# A VAE of this size decodes a preview in about the time that a preview network would take.
_SMALL_VAE_BYTES = 32 * 2**20
_PREVIEW_FRAMES = 6
_ANIMATION_EVENT = "megactor.clip_preview"
"""Message to the page, received by ``web/js/previews.js``."""
_LONGEST_SIDE = 384
_FRAME_RATE = 25
"""Frames per second that a clip is taken to have; the latents do not tell."""


def preview_sheet(model: PortraitModel, clean: Tensor) -> Image.Image:
    """Frames spread over the clip, side by side; the page that queued the prompt gets them as an animation.

    Args:
        model: whose VAE made the latents.
        clean: latents without noise, scaled, ``(1, channels, frames, h, w)``.
    """
    num_frames = clean.shape[2]
    shown = spread(clean[0].transpose(0, 1), _PREVIEW_FRAMES)
    if model.vae.patcher.model_size() <= _SMALL_VAE_BYTES:
        colours = model.vae.decode(model.config.latent_space.unscaled(shown)).float()
    else:
        colours = _latent_colours(model, shown)
    pictures = (colours.clamp(0, 1) * 255).byte().cpu()
    _send_animation(pictures, num_frames)
    sheet = latent_sheet(pictures.movedim(-1, 1))[0].movedim(0, -1)
    return Image.fromarray(sheet.numpy())


def _latent_colours(model: PortraitModel, latents: Tensor) -> Tensor:
    """Colours ``(frames, 4 h, 4 w, 3)`` in [0, 1] of latents ``(frames, channels, h, w)``."""
    latent_format = model.denoiser.model.latent_format
    factors = torch.tensor(latent_format.latent_rgb_factors).to(latents)
    bias = latent_format.latent_rgb_factors_bias
    colours = torch.einsum("fchw,cr->frhw", latents, factors)
    if bias is not None:
        colours = colours + torch.tensor(bias).to(latents)[:, None, None]
    enlarged = torch.nn.functional.interpolate(colours, scale_factor=4, mode="bilinear")
    return (enlarged.movedim(1, -1) + 1) / 2


def _send_animation(pictures: Tensor, num_frames: int) -> None:
    """Send the page frames ``(shown, h, w, 3)``, uint8, of a clip; they take its time, but at most 2 s."""
    context = get_executing_context()
    if context is None:  # called by a program that has no server
        return
    from server import PromptServer

    server = PromptServer.instance
    if server.client_id is None:
        return
    frames = [Image.fromarray(picture.numpy()) for picture in pictures]
    for frame in frames:
        frame.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    seconds = min(num_frames / _FRAME_RATE, 2.0)
    file = io.BytesIO()
    frames[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 * seconds / len(frames)),
        loop=0,
        quality=80,
        method=0,
    )
    message = {
        "prompt_id": context.prompt_id,
        "node": get_progress_state().dynprompt.get_display_node_id(context.node_id),
        "webp": base64.b64encode(file.getvalue()).decode(),
    }
    server.send_sync(_ANIMATION_EVENT, message, server.client_id)
