"""Map the CompVis names of Stable Diffusion 1.5 networks to ours.

A CompVis UNet is a flat list of blocks, three per level: two of residual blocks and one that changes the
resolution going down, three of residual blocks going up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SCHEDULE_BUFFERS = frozenset(
    "betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod "
    "log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance "
    "posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2 logvar".split()
)
"""Top-level tensors of a CompVis checkpoint that follow from its noise schedule."""

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_FIXED = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block_out.0": "controlnet_mid_block",
    "input_hint_block.0": "controlnet_cond_embedding.conv_in",
    "input_hint_block.14": "controlnet_cond_embedding.conv_out",
}
_MIDDLE = ("resnets.0", "attentions.0", "resnets.1")
_ATTENTION = re.compile(r"up_blocks\.\d+\.attentions\.\d+\.")
_BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)")
_MOTION = re.compile(r"(input|output)_blocks_motion_module\.(\d+)\.0\.(.+)")
_VAE_LEVEL = re.compile(r"(?:^|\.)decoder\.up\.(\d+)\.")
_VAE_BLOCK = re.compile(r"(encoder|decoder)\.(down|up)\.(\d+)\.(block\.(\d+)|downsample|upsample)\.(.+)")
_VAE_MIDDLE = re.compile(r"(encoder|decoder)\.mid\.(block_1|block_2|attn_1)\.(.+)")
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def unet_key(key: str) -> str | None:
    """Our name of a parameter of a CompVis UNet, ControlNet or temporal module; None if unknown."""
    layer, _, parameter = key.rpartition(".")
    if fixed := _FIXED.get(layer):
        return f"{fixed}.{parameter}"
    if match := re.fullmatch(r"zero_convs\.(\d+)\.0", layer):
        return f"controlnet_down_blocks.{match[1]}.{parameter}"
    if match := re.fullmatch(r"input_hint_block\.(\d+)", layer):
        return f"controlnet_cond_embedding.blocks.{int(match[1]) // 2 - 1}.{parameter}"
    if match := _MOTION.fullmatch(key):
        side, number, rest = match.groups()
        level, index = divmod(int(number), 2 if side == "input" else 3)
        return f"{'down' if side == 'input' else 'up'}_blocks.{level}.motion_modules.{index}.{rest}"
    if match := re.fullmatch(r"middle_block\.([012])\.(.+)", key):
        place = _MIDDLE[int(match[1])]
        rest = _inside(place, match[2])
        return rest and f"mid_block.{place}.{rest}"
    if match := _BLOCK.fullmatch(key):
        return _block_key(match[1] == "input_blocks", int(match[2]), int(match[3]), match[4])
    return None


def _block_key(down: bool, number: int, part: int, rest: str) -> str | None:
    level, index = divmod(number - 1 if down else number, 3)
    name = f"{'down' if down else 'up'}_blocks.{level}"
    if rest.startswith("op."):
        return f"{name}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    if rest.startswith("conv."):  # after the attention, or instead of it where the level has none
        return f"{name}.upsamplers.0.{rest}"
    place = f"{'attentions' if part else 'resnets'}.{index}"
    inside = _inside(place, rest)
    return inside and f"{name}.{place}.{inside}"


def _inside(place: str, rest: str) -> str | None:
    """Name inside a residual block or a spatial transformer; the latter is called the same everywhere."""
    if place.startswith("attentions"):
        return rest
    layer, _, parameter = rest.rpartition(".")
    return f"{_RESNET[layer]}.{parameter}" if layer in _RESNET else None


def vae_key(key: str, levels: int = 4) -> str | None:
    """Name in diffusers' ``AutoencoderKL`` of a CompVis autoencoder's parameter; None if unknown.

    Args:
        key: without ``first_stage_model.``.
        levels: resolutions of the decoder, which CompVis counts from the other end.
    """
    if match := _VAE_BLOCK.fullmatch(key):
        side, way, number, layer, resnet, rest = match.groups()
        level = int(number) if way == "down" else levels - 1 - int(number)
        if resnet is None:
            return f"{side}.{way}_blocks.{level}.{layer}rs.0.{rest}"
        return f"{side}.{way}_blocks.{level}.resnets.{resnet}.{rest.replace('nin_shortcut', 'conv_shortcut')}"
    if match := _VAE_MIDDLE.fullmatch(key):
        side, part, rest = match.groups()
        if part != "attn_1":
            return f"{side}.mid_block.resnets.{int(part[-1]) - 1}.{rest}"
        layer, _, parameter = rest.rpartition(".")
        inside = _VAE_ATTENTION.get(layer)
        return inside and f"{side}.mid_block.attentions.0.{inside}.{parameter}"
    if match := re.fullmatch(r"(encoder|decoder)\.norm_out\.(.+)", key):
        return f"{match[1]}.conv_norm_out.{match[2]}"
    if re.fullmatch(
        r"((encoder|decoder)\.(conv_in|conv_out)|quant_conv|post_quant_conv)\.(weight|bias)", key
    ):
        return key
    return None


def network_key(network: str, key: str, levels: int) -> str | None:
    """Our name of a parameter of a UNet, ControlNet or autoencoder; None if unknown.

    Args:
        network: which of ours it is.
        key: without the prefix of the network.
        levels: resolutions of the autoencoder.
    """
    if network == "text_encoder":
        return key
    return vae_key(key, levels) if network == "vae" else unet_key(key)


def vae_levels(keys: Iterable[str]) -> int:
    """Resolutions of the autoencoder among the keys of a checkpoint."""
    return len({match[1] for key in keys if (match := _VAE_LEVEL.search(key))})


def unread_reference_keys(names: Iterable[str]) -> list[str]:
    """Of a reference network's parameters, by our names, those behind the norm in its last attention."""
    names = list(names)
    last = max((name for name in names if _ATTENTION.match(name)), default="")
    return [name for name in names if _is_unread(name, last)]


def _is_unread(name: str, last: str) -> bool:
    """Whether a parameter of the reference network lies behind the norm in the last of its attentions."""
    match = _ATTENTION.match(last)
    return (
        match is not None
        and name.startswith(match[0])
        and not name.removeprefix(match[0]).startswith(("norm.", "proj_in.", "transformer_blocks.0.norm1."))
    )
