"""The model's image encoder as the host's CLIP_VISION, and the tokens of the background picture."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import numpy as np
import torch
from comfy.clip_vision import ClipVisionModel
from torch import Tensor

from ...megactor_core.conditioning.background import clip_pixels
from ...megactor_core.errors import InputError
from ...megactor_core.models.config import ModelConfig


def load_clip_vision(config: ModelConfig, path: Path) -> ClipVisionModel:
    """The image encoder of a model folder in the host's hands.

    Args:
        config: of the model.
        path: ``image_encoder.safetensors`` in the model folder.

    Raises:
        InputError: as ``megactor_core.weights.loading.load_network``.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from ...megactor_core.weights.loading import load_network

    assert config.image_encoder is not None
    description = CLIPVisionConfig(**config.image_encoder)
    with torch.device("meta"):
        network = CLIPVisionModelWithProjection(description)
    encoder = ClipVisionModel(description.to_dict())
    offload_device = comfy.model_management.text_encoder_offload_device()
    load_network(network, path.parent, path.stem, offload_device, encoder.dtype)
    encoder.load_sd(network.state_dict())
    return encoder


@torch.inference_mode()
def background_tokens(clip_vision: ClipVisionModel, picture: np.ndarray, width: int) -> Tensor:
    """All tokens of a picture, normed and projected, as MegActor's denoiser reads them.

    Args:
        clip_vision: the model's own, or any CLIP image encoder of the host with tokens of the same width.
        picture: the background, uint8 ``(H, W, 3)``.
        width: of the tokens, the denoiser's ``cross_attention_dim``.

    Returns:
        float32 ``(1, tokens, width)`` on the host's intermediate device.

    Raises:
        InputError: an encoder of another kind or width.
    """
    remedy = "Use the CLIP_VISION of Load MegActor Model, link none"
    if width == 768:
        remedy += ", or load a CLIP ViT-L/14"
    if clip_vision.model_type != "clip_vision_model" or "projection_dim" not in clip_vision.config:
        raise InputError("clip_vision", "is no CLIP image encoder with a projection", remedy)
    given = clip_vision.config["projection_dim"]
    if given != width:
        problem = f"gives tokens of width {given}; the model needs {width}"
        raise InputError("clip_vision", problem, remedy)
    pixels = clip_pixels(picture, clip_vision.image_size)
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    network = clip_vision.model
    hidden_states = network.vision_model(pixel_values=pixels.to(clip_vision.load_device))[0]
    tokens = network.visual_projection(network.vision_model.post_layernorm(hidden_states))
    return tokens.to(comfy.model_management.intermediate_device())
