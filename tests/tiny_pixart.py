"""Shape of the smallest PixArt-alpha and Latte that diffusers builds."""

from __future__ import annotations

from typing import Any

PIXART: dict[str, Any] = {
    "num_attention_heads": 4,
    "attention_head_dim": 16,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 3,
    "cross_attention_dim": 64,
    "caption_channels": 12,
    "sample_size": 16,
    "patch_size": 2,
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "num_embeds_ada_norm": 1000,
}
