"""Tiny models of random weights: every family's whole path runs with them in seconds, on any machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ..errors import InputError
from ..families.registry import find_family
from ..models.config import OFFICIAL_VAE, ModelConfig
from ..models.networks import build_networks

SIZE = 64
_CONTEXT, _AUDIO = 16, 8


def tiny_config(published: ModelConfig) -> ModelConfig:
    """Configuration of a model with few and narrow layers, for pictures of 64 pixels.

    What makes up the family stays: channels, order of layers, schedules, windows, and one latent cell per
    eight pixels.
    """
    changes: dict = {
        "denoiser": published.denoiser.tiny(_CONTEXT, _AUDIO),
        "reference_network": published.reference_network.tiny(_CONTEXT, _AUDIO),
        "vae": {
            **OFFICIAL_VAE,
            "block_out_channels": [8, 8, 8, 8],
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
        "defaults": replace(published.defaults, size=SIZE, num_inference_steps=2),
    }
    if published.driving_encoder is not None:
        modulated = bool(published.driving_encoder.reference_channels)
        changes["driving_encoder"] = replace(
            published.driving_encoder,
            channels=(4, 4, 8, 8),
            reference_channels=((4, 4),) * 4 if modulated else (),
            modulation_dim=8,
        )
    if published.control_network is not None:
        changes["control_network"] = published.control_network.tiny(_CONTEXT, _AUDIO)
    if published.image_encoder is not None:
        changes["image_encoder"] = {
            **published.image_encoder,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
            "projection_dim": _CONTEXT,
        }
    if published.audio_encoder is not None:
        changes["audio_encoder"] = published.audio_encoder.tiny(_AUDIO)
    return replace(published, **changes)


def write_random_model(family: str, folder: Path, seed: int = 0) -> ModelConfig:
    """Write a model folder of random weights, in float32.

    What starts at zero in training is random too, so that every input changes the result.

    Args:
        family: its name.
        folder: to make or fill.
        seed: of the weights.

    Raises:
        InputError: an unknown family, or a folder that holds something.
    """
    from .saving import save_model

    published = find_family(family).config
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "exists and is not empty", "Choose another folder")
    config = tiny_config(published)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        networks = build_networks(config)
        for _, network in networks.items():
            for tensor in network.state_dict().values():
                if not tensor.any():
                    tensor.normal_(0, 0.05)
    save_model(config, networks, folder, torch.float32)
    return config
