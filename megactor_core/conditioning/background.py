"""The background as CLIP image tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..models.conditions import BackgroundCondition
from ..vision.foreground import background_image

if TYPE_CHECKING:  # takes seconds to import, and preprocessing does not need it
    from transformers import CLIPVisionModelWithProjection

    from ..models.networks import Networks

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(picture: np.ndarray, size: int) -> Tensor:
    """CLIP's preprocessing: shortest side to ``size`` (PIL bicubic), centre crop, normalisation.

    Args:
        picture: uint8 ``(H, W, 3)``.
        size: side of CLIP's input in pixels.

    Returns:
        float32 ``(1, 3, size, size)``.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    scaled = (int(width * size / short), int(height * size / short))
    resized = np.array(Image.fromarray(picture).resize(scaled, Image.Resampling.BICUBIC), np.float32)
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    cropped = resized[top : top + size, left : left + size] / 255
    normalised = (torch.from_numpy(cropped) - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    return normalised.permute(2, 0, 1)[None]


def image_tokens(encoder: CLIPVisionModelWithProjection, pixels: Tensor) -> Tensor:
    """All tokens, normed and projected: ``(n, tokens, projection_dim)`` (MegActor's background tokens)."""
    hidden_states = encoder.vision_model(pixel_values=pixels).last_hidden_state
    return encoder.visual_projection(encoder.vision_model.post_layernorm(hidden_states))


def encode_context(networks: Networks, picture: np.ndarray, foreground: np.ndarray) -> BackgroundCondition:
    """Context tokens of a model, whichever way it gets them: from the background, or its own constant ones.

    Args:
        networks: of the model.
        picture, foreground: see ``encode_background``.
    """
    if networks.image_encoder is None:
        return compose_context(networks)
    return encode_background(networks.image_encoder, picture, foreground)


def compose_context(
    networks: Networks, pixels: Tensor | None = None, shown: Tensor | None = None
) -> BackgroundCondition:
    """Context tokens of one clip or of many, with gradients to the image encoder's weights.

    Args:
        networks: of the model.
        pixels: backgrounds as ``clip_pixels`` gives them, ``(rows, 3, size, size)``; None for a model with
            constant tokens.
        shown: bool ``(rows,)``, the others get tokens of zero; None shows all.
    """
    if networks.constant_context is not None:
        return BackgroundCondition(networks.constant_context.tokens)
    assert networks.image_encoder is not None and pixels is not None
    tokens = image_tokens(networks.image_encoder, pixels)
    return BackgroundCondition(tokens if shown is None else tokens * shown.to(tokens)[:, None, None])


@torch.inference_mode()
def encode_background(
    encoder: CLIPVisionModelWithProjection, picture: np.ndarray, foreground: np.ndarray
) -> BackgroundCondition:
    """Tokens of the portrait with the person blacked out.

    Args:
        encoder: CLIP vision model with projection.
        picture: cropped portrait, uint8 ``(S, S, 3)``.
        foreground: person mask ``(S, S)`` in 0..1.
    """
    pixels = clip_pixels(background_image(picture, foreground), encoder.config.image_size)
    weight = encoder.visual_projection.weight
    return BackgroundCondition(image_tokens(encoder, pixels.to(weight)))
