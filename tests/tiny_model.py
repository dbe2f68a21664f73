"""A whole model of the real classes that runs in no time, and small pictures and drivers to run it on."""

from __future__ import annotations

import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from megactor_core.media.writing import VideoWriter
from megactor_core.models.config import OFFICIAL_VAE, ModelConfig, SamplingDefaults
from megactor_core.models.dit.config import DiTConfig
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.networks import Networks, build_networks
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.weights.loading import LoadedModel
from megactor_core.weights.saving import save_model

SIZE = 64
CHANNELS = 4
_UNET = {
    "block_out_channels": (8, 16),
    "attention_levels": (True, True),
    "layers_per_block": 1,
    "num_attention_heads": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 4,
}
TINY_DIT = replace(DiTConfig().tiny(16, 0), in_channels=13)
"""The other kind of denoiser, for the same input."""


def tiny_config(**changes: object) -> ModelConfig:
    """One eighth of the pixels per latent cell, as in the official model; 16 temporal positions."""
    values: dict = {
        "denoiser": UNetConfig(in_channels=13, motion_max_positions=16, **_UNET),
        "reference_network": UNetConfig(in_channels=4, out_channels=0, motion_modules=False, **_UNET),
        "driving_encoder": DrivingEncoderConfig(
            channels=(4, 4, 8, 8), reference_channels=((4, 4),) * 4, modulation_dim=8
        ),
        "vae": {
            **OFFICIAL_VAE,
            "block_out_channels": [8, 8, 8, 8],
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
        "image_encoder": {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
            "projection_dim": 16,
            "hidden_act": "quick_gelu",
        },
        "defaults": SamplingDefaults(
            size=SIZE, num_inference_steps=2, guidance_scale=2.0, context_length=8, context_overlap=4
        ),
    }
    return ModelConfig(**{**values, **changes})


def tiny_networks(config: ModelConfig | None = None, seed: int = 0) -> Networks:
    """Random weights; what starts at zero in training is random too, so that every input matters."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        networks = build_networks(config or tiny_config())
        for _, network in networks.items():
            network.requires_grad_(False)
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.05)
    return networks


def tiny_model(**changes: object) -> LoadedModel:
    config = tiny_config(**changes)
    return LoadedModel(config, tiny_networks(config), Path("tiny"))


def write_tiny_model(folder: Path) -> Path:
    """A model folder as training exports it."""
    config = tiny_config()
    save_model(config, tiny_networks(config), folder, torch.float32)
    return folder


def portrait_image(height: int = 80, width: int = 96) -> np.ndarray:
    """A bright ellipse on a gradient."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 120)], axis=-1)
    inside = ((x - width / 2) / (width / 5)) ** 2 + ((y - height / 2) / (height / 3)) ** 2 < 1
    picture[inside] = (230, 190, 160)
    return picture.astype(np.uint8)


def write_portrait(path: Path, height: int = 80, width: int = 96) -> Path:
    Image.fromarray(portrait_image(height, width)).save(path)
    return path


def write_driver(
    path: Path, num_frames: int = 12, size: int = 64, rate: Fraction | int = 25, sound: bool = False
) -> Path:
    """A square that moves over grey, one frame unlike the next."""
    voice = path.with_suffix(".wav") if sound else None
    if voice is not None:
        with wave.open(str(voice), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            seconds = np.arange(int(16000 * num_frames / Fraction(rate))) / 16000
            file.writeframes((8000 * np.sin(2 * np.pi * 300 * seconds)).astype(np.int16).tobytes())
    with VideoWriter(path, size, size, Fraction(rate), audio_source=voice) as writer:
        for index in range(num_frames):
            image = np.full((size, size, 3), 90, np.uint8)
            left = (5 * index) % (size - 16)
            image[left : left + 16, size // 3 : size // 3 + 16] = 200
            writer.write(image)
    if voice is not None:
        voice.unlink()
    return path
