"""Read a model's configuration off the shapes of its weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..models.denoiser_config import ReferenceConfig
from ..models.encoder_config import AudioEncoderConfig, DrivingEncoderConfig
from ..models.sd15.config import UNetConfig

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def unet_config(shapes: Shapes, published: Mapping[str, Any], family: ReferenceConfig) -> UNetConfig:
    """Configuration of a denoiser or reference network.

    Args:
        shapes: its weights, by our key names.
        published: its ``config.json``; only what shapes do not tell is read from it: ``attention_head_dim``
            (a head count in SD1.5) and ``norm_num_groups``.
        family: the published network; what neither tells is taken from it.

    Raises:
        KeyError: the weights lack a layer every such network has.
    """
    assert isinstance(family, UNetConfig)  # as every published network
    levels = range(_count(shapes, "down_blocks"))
    tables = [shape for key, shape in shapes.items() if key.endswith(".pos_encoder.pe")]
    contexts = (shape[1] for key, shape in shapes.items() if key.endswith(".attn2.to_k.weight"))
    audio = (shape[1] for key, shape in shapes.items() if key.endswith(".attn_audio.to_k.weight"))
    return replace(
        family,
        in_channels=shapes["conv_in.weight"][1],
        out_channels=shapes["conv_out.weight"][0] if "conv_out.weight" in shapes else 0,
        block_out_channels=tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in levels),
        attention_levels=tuple(_count(shapes, f"down_blocks.{i}.attentions") > 0 for i in levels),
        layers_per_block=_count(shapes, "down_blocks.0.resnets"),
        num_attention_heads=published.get("attention_head_dim", family.num_attention_heads),
        cross_attention_dim=next(contexts, family.cross_attention_dim),
        norm_num_groups=published.get("norm_num_groups", family.norm_num_groups),
        motion_modules=any(".motion_modules." in key for key in shapes),
        motion_in_middle=_count(shapes, "mid_block.motion_modules") > 0,
        motion_max_positions=tables[0][1] if tables else family.motion_max_positions,
        audio_dim=next(audio, 0),
    )


def driving_encoder_config(shapes: Shapes, family: DrivingEncoderConfig) -> DrivingEncoderConfig:
    """Configuration of the driving encoder inside a denoiser with these weights.

    Args:
        shapes: of the denoiser's weights.
        family: of the published denoiser; what shapes do not tell is taken from it.

    Raises:
        KeyError: the weights lack one of its layers.
    """
    layers = {k.removeprefix("condition_input_layer."): s for k, s in shapes.items()}
    stages = range(_count(layers, "spatial_conv_layers"))
    # convolutions and activations alternate; the last two convolutions do not belong to a halving pair
    pairs = range(0, 2 * (_count(layers, "refer_convs") - 2), 4)
    modulation = layers["refer_linears.0.weight"][0] if pairs else family.modulation_dim
    return replace(
        family,
        channels=tuple(layers[f"spatial_conv_layers.{i}.2.weight"][0] for i in stages),  # type: ignore[arg-type]
        out_channels=layers["spatial_conv_out.weight"][0],
        reference_channels=tuple(
            (layers[f"refer_convs.{i}.weight"][0], layers[f"refer_convs.{i + 2}.weight"][0]) for i in pairs
        ),
        modulation_dim=modulation,
    )


def audio_encoder_config(shapes: Shapes) -> AudioEncoderConfig:
    """Configuration of a Whisper encoder; its heads are 64 wide in every published size.

    Raises:
        KeyError: the weights lack a layer every such encoder has.
    """
    width, bands, _ = shapes["conv1.weight"]
    return AudioEncoderConfig(
        bands=bands,
        width=width,
        heads=max(1, width // 64),
        layers=_count(shapes, "layers"),
        positions=shapes["embed_positions.weight"][0],
    )


def vae_config(shapes: Shapes, published: Mapping[str, Any], family: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``AutoencoderKL``; its config.json gives ``norm_num_groups`` and ``scaling_factor``.

    What neither tells is taken from the arguments of the family's autoencoder.

    Raises:
        KeyError: the weights lack a layer every such autoencoder has.
    """
    levels = range(_count(shapes, "encoder.down_blocks"))
    keep = ("norm_num_groups", "scaling_factor", "sample_size")
    return {
        **family,
        **{key: published[key] for key in keep if key in published},
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "down_block_types": ["DownEncoderBlock2D"] * len(levels),
        "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        "block_out_channels": [shapes[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"][0] for i in levels],
        "layers_per_block": _count(shapes, "encoder.down_blocks.0.resnets"),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
    }


def image_encoder_config(
    shapes: Shapes, published: Mapping[str, Any], family: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of ``CLIPVisionConfig``; head count and activation are read from its config.json.

    What neither tells is taken from the arguments of the family's encoder.

    Raises:
        KeyError: the weights lack a layer every such encoder has.
    """
    keep = ("num_attention_heads", "hidden_act")
    hidden_size, _, patch_size, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    positions = shapes["vision_model.embeddings.position_embedding.weight"][0]
    return {
        **family,
        **{key: published[key] for key in keep if key in published},
        "hidden_size": hidden_size,
        "intermediate_size": shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, "vision_model.encoder.layers"),
        "image_size": math.isqrt(positions - 1) * patch_size,
        "patch_size": patch_size,
        "projection_dim": shapes["visual_projection.weight"][0],
    }


def _count(keys: Iterable[str], prefix: str) -> int:
    """Number of a module list's children."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return len({match.group(1) for key in keys if (match := pattern.match(key))})
