"""Small official-layout trees, written as the published files are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from megactor_core.models.config import OFFICIAL_IMAGE_ENCODER, OFFICIAL_VAE, ModelConfig
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.networks import build_networks
from megactor_core.models.sd15.config import UNetConfig

State = dict[str, Tensor]
PREFIXES = {
    "denoiser": "module.unet.",
    "reference_network": "module.appearance_encoder.",
    "vae": "module.vae.",
}


def small_config(widths: tuple[int, ...] = (8, 16)) -> ModelConfig:
    """A model of the official shape in small, other than the official one wherever shapes tell."""
    unet = UNetConfig(
        block_out_channels=widths,
        attention_levels=(True, False),
        layers_per_block=1,
        cross_attention_dim=12,
        norm_num_groups=4,
        motion_max_positions=16,
    )
    return ModelConfig(
        denoiser=unet,
        driving_encoder=DrivingEncoderConfig(
            channels=(4, 4, 8, 8), reference_channels=((4, 4), (4, 8), (8, 8)), modulation_dim=6
        ),
        reference_network=dataclasses.replace(
            unet, in_channels=4, out_channels=0, motion_modules=False, motion_max_positions=32
        ),
        vae={
            **OFFICIAL_VAE,
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "block_out_channels": [8, 16],
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
        image_encoder={
            **OFFICIAL_IMAGE_ENCODER,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 28,
            "projection_dim": 12,
        },
    )


def random_states(config: ModelConfig, seed: int = 0) -> dict[str, State]:
    """Weights of every network; position tables keep their computed values."""
    generator = torch.Generator().manual_seed(seed)
    states: dict[str, State] = {}
    for name, network in build_networks(config).items():
        states[name] = {
            key: value if key.endswith(".pe") else torch.randn(value.shape, generator=generator)
            for key, value in network.state_dict().items()
        }
    return states


def old_vae_names(state: State, convolutions: bool) -> State:
    """The names, and on request the 1x1 convolution shapes, of autoencoder files from before 2023."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    result = {}
    for key, value in state.items():
        for new_part, old_part in old.items():
            if new_part in key:
                key = key.replace(new_part, old_part)
                value = value[:, :, None, None] if convolutions and value.ndim == 2 else value
        result[key] = value
    return result


def write_official(
    root: Path,
    config: ModelConfig,
    states: dict[str, State],
    *,
    dtype: torch.dtype = torch.float32,
    prefix: str = "module.",
    wrapped: bool = True,
    with_vae_in_checkpoint: bool = True,
    old_vae: bool = True,
    vae_convolutions: bool = False,
    vae_safetensors: bool = False,
) -> Path:
    """Write ``checkpoint-steps9000.ckpt``, ``StableDiffusion/`` and ``sd-vae-ft-mse/`` below ``root``."""
    checkpoint: State = {}
    for name, part in PREFIXES.items():
        if name != "vae" or with_vae_in_checkpoint:
            part = part.replace("module.", prefix)
            checkpoint |= {part + key: value.to(dtype) for key, value in states[name].items()}
    checkpoint[f"{prefix}text_encoder.text_model.embeddings.token_embedding.weight"] = torch.ones(
        3, 2, dtype=dtype
    )
    root.mkdir(parents=True)
    content: Any = {"epoch": 3, "global_step": 9000, "state_dict": checkpoint} if wrapped else checkpoint
    torch.save(content, root / "checkpoint-steps9000.ckpt")

    _write_json(
        root / "StableDiffusion" / "unet",
        {
            "attention_head_dim": config.denoiser.num_attention_heads,
            "norm_num_groups": config.denoiser.norm_num_groups,
        },
    )
    encoder = root / "StableDiffusion" / "image_encoder"
    _write_json(
        encoder,
        {"num_attention_heads": config.image_encoder["num_attention_heads"], "hidden_act": "quick_gelu"},
    )
    extras = {
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
        "text_model.embeddings.token_embedding.weight": torch.ones(2, 2),
        "text_projection.weight": torch.ones(2, 2),
        "logit_scale": torch.tensor(2.0),
    }
    torch.save(states["image_encoder"] | extras, encoder / "pytorch_model.bin")

    vae = root / "sd-vae-ft-mse"
    _write_json(vae, {"norm_num_groups": config.vae["norm_num_groups"], "sample_size": 256})
    state = old_vae_names(states["vae"], vae_convolutions) if old_vae else states["vae"]
    if vae_safetensors:
        save_file({k: v.contiguous() for k, v in state.items()}, vae / "diffusion_pytorch_model.safetensors")
    else:
        torch.save(state, vae / "diffusion_pytorch_model.bin")
    return root


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(content))
