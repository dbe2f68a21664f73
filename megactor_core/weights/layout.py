"""Recognise checkpoints by their keys and map published key names to those of our networks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..errors import InputError
from ..families.family import CheckpointLayout, Kind
from ..families.registry import FAMILIES
from .compvis import SCHEDULE_BUFFERS, network_key, unread_reference_keys, vae_levels
from .pixart import transformer_key

Shape = tuple[int, ...]

LISTED_KEYS = 5
"""How many keys an error names."""


_COMMON_KINDS: tuple[Kind, ...] = (
    Kind("motion_modules", "an AnimateDiff motion module file", (".motion_modules.",), (".conv_in.",)),
    Kind("lora", "a LoRA file", (".lora_",)),
    Kind("stable_diffusion", "a Stable Diffusion single-file checkpoint", (".model.diffusion_model.",)),
    Kind("controlnet", "a ControlNet", (".controlnet_cond_embedding.",)),
    Kind("controlnet", "a ControlNet", (".input_hint_block.",)),
    Kind("vae", "an autoencoder (VAE)", (".encoder.conv_in.", ".decoder.conv_in.", ".encoder.down_blocks.")),
    Kind("ldm_vae", "an autoencoder (VAE) in the original LDM naming", (".encoder.down.0.block.",)),
    Kind("unet", "a Stable Diffusion UNet", (".time_embedding.", ".conv_out.")),
    Kind("reference_network", "a reference network", (".time_embedding.", ".conv_in."), (".conv_out.",)),
    Kind("reference_network", "a reference network", (".adaln_single.", ".pos_embed.proj."), (".proj_out.",)),
    Kind("latte", "a Latte transformer", (".adaln_single.", ".temporal_transformer_blocks.")),
    Kind("pixart", "a PixArt transformer", (".adaln_single.", ".pos_embed.proj.", ".transformer_blocks.")),
    Kind(
        "pixart_original",
        "a PixArt transformer by its original names",
        (".t_block.", ".cross_attn.kv_linear."),
    ),
    Kind("image_encoder", "a CLIP image encoder", (".vision_model.embeddings.",)),
    Kind("text_encoder", "a CLIP text encoder", (".text_model.embeddings.",)),
    Kind("whisper", "a Whisper speech model", (".encoder.blocks.", ".attn.query.")),
    Kind("whisper", "a Whisper speech model", (".encoder.layers.", ".encoder_attn.")),
    Kind("audio_encoder", "a speech encoder (Whisper's)", (".blocks.", ".attn.query.")),
    Kind(
        "audio_encoder",
        "a speech encoder (Whisper's)",
        (".layers.", ".self_attn.q_proj.", ".embed_positions."),
    ),
    Kind("audio_encoder", "a small speech encoder", (".residuals.", ".widen.", ".narrow.")),
    Kind("constant_context", "the embedding of the empty text", (".tokens",)),
)
UNKNOWN = Kind("unknown", "a file of unknown weights", ())

_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_VAE_KEY = re.compile(r"(.*\.mid_block\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_WHISPER_LAYERS = {
    "attn.query": "self_attn.q_proj",
    "attn.key": "self_attn.k_proj",
    "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj",
    "attn_ln": "self_attn_layer_norm",
    "mlp.0": "fc1",
    "mlp.2": "fc2",
    "mlp_ln": "final_layer_norm",
}
_OPENAI_LAYER = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias)")
_UNUSED_CLIP_KEY = re.compile(r"text_model\.|text_projection\.|logit_scale$|.*\.position_ids$")


@dataclass(frozen=True)
class SplitCheckpoint:
    """Keys of a training checkpoint, sorted by network.

    Attributes:
        networks: per network, the name in our network -> the name in the file.
        ignored: names that no network of ours uses.
        unexpected: names that belong to nothing known.
    """

    networks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def kinds() -> tuple[Kind, ...]:
    """Kinds of files, in the order in which they are tried; a file is of the first that fits.

    A whole holds the keys of its parts, and a part those of the public network it was made from. So
    checkpoints of families come first, then files of one of their networks, then files of no family. Among
    families the order is that of ``FAMILIES``; none may claim what another publishes, see its test.
    """
    families = FAMILIES.values()
    return (
        *(kind for family in families for kind in family.checkpoints),
        *(kind for family in families for kind in family.parts),
        *_COMMON_KINDS,
    )


def recognise(keys: Iterable[str]) -> Kind:
    """The kind of a file with these keys; ``UNKNOWN`` if none fits."""
    keys = list(keys)
    return next((kind for kind in kinds() if kind.fits(keys)), UNKNOWN)


def split_checkpoint(keys: Iterable[str], layout: CheckpointLayout) -> SplitCheckpoint:
    """Sort the keys of a published checkpoint (``module.unet.conv_in.weight``, ...) by network."""
    keys = list(keys)
    compvis = layout.naming == "compvis"
    levels = vae_levels(keys) if compvis else 0
    networks: dict[str, dict[str, str]] = {}
    ignored, unexpected = [], []
    for key in keys:
        name = key.removeprefix(layout.wrapper)
        prefix = next((prefix for prefix in layout.parts if name.startswith(prefix)), None)
        mapped: str | None = None
        if prefix is not None:
            network, inner = layout.parts[prefix], name.removeprefix(prefix)
            mapped = network_key(network, inner, levels) if compvis else map_key(network, inner) or inner
        if any(fnmatchcase(name, pattern) for pattern in layout.ignored) or (
            compvis and name in SCHEDULE_BUFFERS
        ):
            ignored.append(key)
        elif mapped is None:
            unexpected.append(key)
        else:
            networks.setdefault(network, {})[mapped] = key
    if layout.cut_reference:
        reference = networks.get("reference_network", {})
        ignored += [reference.pop(name) for name in unread_reference_keys(reference)]
    return SplitCheckpoint(networks, tuple(ignored), tuple(unexpected))


def map_key(network: str, key: str) -> str | None:
    """Name in our network of a published key of that network's own file; None if it is not used.

    Old autoencoders name their attention query, key, value and proj_attn (some as 1x1 convolutions); full
    CLIP files carry a text tower and a position buffer; of Whisper only the encoder without its final norm is
    used, under the names of transformers or OpenAI's; an embedding is a file of a single tensor. Transformers
    may have diffusers' names.
    """
    if network == "vae" and (match := _OLD_VAE_KEY.fullmatch(key)):
        block, layer, parameter = match.groups()
        return f"{block}.{_OLD_VAE_ATTENTION[layer]}.{parameter}"
    if network == "image_encoder" and _UNUSED_CLIP_KEY.match(key):
        return None
    if network in ("denoiser", "reference_network"):
        return transformer_key(key)
    if network == "audio_encoder":
        return _whisper_key(key)
    if network == "constant_context":
        return "tokens"
    return key


def _whisper_key(key: str) -> str | None:
    name = key.removeprefix("model.")
    if name.startswith("decoder.") or re.match(r"encoder\.(ln_post|layer_norm)\.", name):
        return None
    name = name.removeprefix("encoder.")
    if match := _OPENAI_LAYER.fullmatch(name):
        layer, part, parameter = match.groups()
        return f"layers.{layer}.{_WHISPER_LAYERS[part]}.{parameter}"
    return "embed_positions.weight" if name == "positional_embedding" else name


def reconcile_shape(shape: Shape, expected: Shape) -> bool:
    """Whether a tensor can take the expected shape: equal but for axes of length one.

    A 1x1 convolution stands for a linear layer, an embedding for a batch of one.
    """
    return [length for length in shape if length != 1] == [length for length in expected if length != 1]


def check_keys(
    subject: object, found: Mapping[str, Shape], expected: Mapping[str, Shape], network: str
) -> None:
    """Compare the tensors of a file with those of a network.

    Raises:
        InputError: a missing, extra or misshapen key, with the first few; a file of another kind is named.
    """
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    misshapen = [
        f"{key} {list(found[key])} instead of {list(expected[key])}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    if not (missing or extra or misshapen):
        return
    kind = recognise(found)
    if kind.name not in (network, "unknown"):
        raise InputError(subject, f"is {kind.description}, not {describe(network)}", "Give the right file")
    problems = [
        f"{len(keys)} keys {what}: {first_few(keys)}"
        for what, keys in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if keys
    ]
    raise InputError(
        subject, f"does not fit {describe(network)}; " + "; ".join(problems), "Convert or download it again"
    )


def describe(network: str) -> str:
    """Name of a network for people."""
    return next((kind.description for kind in kinds() if kind.name == network), network)


def first_few(keys: list[str] | tuple[str, ...]) -> str:
    """The first keys of a list, with a sign that there are more."""
    return ", ".join(keys[:LISTED_KEYS]) + (", ..." if len(keys) > LISTED_KEYS else "")
