"""Names of PixArt-alpha's and Latte's layers, diffusers' and ours."""

from __future__ import annotations

import re

CAPTIONS = "caption_projection."
"""Layers between T5's embedding of a prompt and the context, which comes with the weights here."""

_TEMPORAL = re.compile(r"\btemporal_transformer_blocks(?=[._]\d)")
_LATTES_BLOCK = re.compile(r"^motion_modules(?=\.\d+\.(?:attn1|ff|scale_shift_table)\.)")
_TABLE = "scale_shift_table"


def transformer_key(key: str) -> str:
    """Our name of a parameter of ``PixArtTransformer2DModel`` or ``LatteTransformer3DModel``.

    Tables are modules of their own here, and temporal blocks are called as in every denoiser. Other names,
    ours among them, stay as they are.
    """
    name = transformer_layer(key)
    return f"{name}.weight" if name.endswith(_TABLE) else name


def transformer_layer(name: str) -> str:
    """Our name of a layer, which may have underscores for dots as kohya's tools write them."""
    return _TEMPORAL.sub("motion_modules", name)


def diffusers_key(name: str) -> str:
    """Inverse of ``transformer_key``."""
    key = _LATTES_BLOCK.sub("temporal_transformer_blocks", name)
    return key.removesuffix(".weight") if key.endswith(f"{_TABLE}.weight") else key
