"""Smallest configs that every part of training runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

UNET = {
    "block_out_channels": [8, 16],
    "attention_levels": [True, True],
    "layers_per_block": 1,
    "num_attention_heads": 2,
    "cross_attention_dim": 8,
    "norm_num_groups": 4,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8, 8, 8, 8],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "sample_size": 32,
    "mid_block_add_attention": False,
}
SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
MODEL = {
    "denoiser": {**UNET, "motion_max_positions": 8},
    "reference_network": {**UNET, "in_channels": 4, "out_channels": 0, "motion_modules": False},
    "driving_encoder": {
        "channels": [4, 4, 8, 8],
        "reference_channels": [[4, 4], [4, 8]],
        "modulation_dim": 8,
    },
    "vae": VAE,
    "image_encoder": {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 8,
    },
    "training_scheduler": SCHEDULE,
    "inference_scheduler": SCHEDULE,
    "defaults": {
        "size": 32,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
        "context_length": 4,
        "context_overlap": 2,
    },
}
RUN = {
    "seed": 3,
    "steps": 4,
    "num_workers": 0,
    "ema_decay": 0.9,
    "checkpoint_interval": 2,
    "validation_interval": 4,
    "log_interval": 2,
    "optimizer": {"learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 1},
}


@pytest.fixture
def autoencoder_data() -> dict[str, Any]:
    task = {"name": "autoencoder", "size": 32, "batch_size": 2, "validation_pictures": 16, "vae": VAE}
    return {**RUN, "task": task}


@pytest.fixture
def denoiser_data() -> dict[str, Any]:
    task = {
        "name": "denoiser",
        "model": MODEL,
        "trainable": ["denoiser.", "reference_network.", "image_encoder."],
        "motion_modules": False,
        "data": {"size": 32, "references": 2, "frames": 2, "whole_frame_rate": 0.4},
        "auxiliary_weight": 0.2,
        "auxiliary_steps": 10,
        "reference_dropout": 0.3,
        "sample_latents": False,
        "validation": {
            "clips": 1,
            "frames": 4,
            "num_inference_steps": 2,
            "loss_timesteps": [125, 500],
        },
    }
    return {**RUN, "task": task}


@pytest.fixture
def write_yaml(tmp_path: Path):
    def write(data: dict[str, Any], name: str = "train.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(data))
        return path

    return write
