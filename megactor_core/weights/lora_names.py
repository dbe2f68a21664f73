"""Names of adapters' tensors, however the tool that trained them calls them: which layer, which part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .compvis import unet_key
from .pixart import transformer_layer

# The layer's name comes before; of several adapters in one file PEFT puts a name behind the part.
# kohya: X.lora_down.weight, X.alpha; PEFT: X.lora_A.weight, X.lora_A.default.weight; diffusers, by age:
# X.lora_linear_layer.down.weight, X.lora.down.weight, and attention.processor.to_q_lora.down.weight.
_ENDINGS = (
    (re.compile(r"(.+)\.lora_(?P<part>down|up|mid)\.weight"), r"\1"),
    (re.compile(r"(.+)\.lora_(?P<part>[AB])(?:\.[^.]+)?\.weight"), r"\1"),
    (re.compile(r"(.+)\.lora_B(?:\.[^.]+)?\.(?P<part>bias)"), r"\1"),
    (re.compile(r"(.+)\.(?P<part>lora_magnitude_vector)(?:\.[^.]+){0,2}"), r"\1"),
    (re.compile(r"(.+)\.lora(?:_linear_layer)?\.(?P<part>down|up|alpha)(?:\.weight)?"), r"\1"),
    (re.compile(r"(.+)\.processor\.(to_q|to_k|to_v)_lora\.(?P<part>down|up)\.weight"), r"\1.\2"),
    (re.compile(r"(.+)\.processor\.to_out_lora\.(?P<part>down|up)\.weight"), r"\1.to_out.0"),
    (re.compile(r"(.+)\.processor\.(to_q|to_k|to_v)_lora\.(?P<part>alpha)"), r"\1.\2"),
    (re.compile(r"(.+)\.processor\.to_out_lora\.(?P<part>alpha)"), r"\1.to_out.0"),
    (re.compile(r"(.+)\.(?P<part>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))(?:\.[^.]+)?"), r"\1"),
    (re.compile(r"(.+)\.(?P<part>alpha|dora_scale|diff|diff_b|w_norm|b_norm|set_weight)"), r"\1"),
)
_PARTS = {
    "A": "down",
    "B": "up",
    "bias": "up_bias",
    "dora_scale": "magnitude",
    "lora_magnitude_vector": "magnitude",
    "w_norm": "diff",
    "diff_b": "bias_diff",
    "b_norm": "bias_diff",
}
_OTHER_METHODS = (
    (re.compile(r"\.[ab][12]\.weight$"), "GLoRA"),
    (re.compile(r"\.(oft_|boft_)"), "OFT or BOFT"),
    (re.compile(r"\bvera_(lambda|A|B)"), "VeRA"),
    (re.compile(r"\.(ia3_l|on_input$)"), "IA3"),
    (re.compile(r"\.(lora_E|ranknum)\b"), "AdaLoRA"),
    (re.compile(r"\.fourierft_"), "FourierFT"),
    (re.compile(r"\.hra_u"), "HRA"),
    (re.compile(r"\b(randlora_|vblora_)"), "LoRA of shared factors (RandLoRA, VB-LoRA)"),
    (re.compile(r"\.(miss_|bone_)"), "MiSS"),
)
_PREFIXES = re.compile(
    r"(?:base_model\.model\.|module\.|unet\.|transformer\.|(?:model\.)?diffusion_model\."
    r"|lora_unet_|lora_transformer_|lycoris_)+"
)
_TEXT = re.compile(
    r"(?:lora_te\d?_|text_encoder|te\d?_text_model|clip_[lg]\.|(?:base_model\.model\.)?text_model\b)"
)
# diffusers' motion adapter and the original AnimateDiff nest the same layers differently.
_ADAPTER = re.compile(
    r"(.*motion_modules\.\d+\.)(?:temporal_transformer\.)?(transformer_blocks\.\d+\.)attn([12])\.(.+)"
)
_ADAPTER_PLAIN = re.compile(r"(.*motion_modules\.\d+\.)((?:transformer_blocks|proj_in|proj_out).*)")
# CompVis' names have numbers between dots, some of which kohya's tools made underscores.
_BESIDE_NUMBER = re.compile(r"(?<=[a-z])_(?=\d)|(?<=\d)_")


class PartName(NamedTuple):
    """A tensor's name, read.

    Attributes:
        layer: what the file calls the layer, without prefixes.
        part: ``down``, ``up``, ``mid``, ``alpha``, ``magnitude``, ``diff``, ... as in ``layer_change``.
    """

    layer: str
    part: str


def read_name(key: str) -> PartName | None:
    """Layer and part that a tensor is for; None for one of no known kind."""
    for pattern, layer in _ENDINGS:
        if match := pattern.fullmatch(key):
            part = match["part"]
            name = match.expand(layer)
            prefix = _PREFIXES.match(name)
            return PartName(name[prefix.end() :] if prefix else name, _PARTS.get(part, part))
    return None


def is_of_text(key: str) -> bool:
    """Whether a tensor is for a text encoder."""
    return _TEXT.match(key) is not None


def other_method(keys: Iterable[str]) -> str | None:
    """Name of a method that is not applied here and has such tensors."""
    for key in keys:
        for pattern, name in _OTHER_METHODS:
            if pattern.search(key):
                return name
    return None


def find_layer(name: str, layers: Iterable[str], flat: Mapping[str, str]) -> str | None:
    """Our name of a layer; kohya's names, after diffusers or CompVis, have underscores for dots.

    Args:
        name: from ``read_name``.
        layers: ours.
        flat: ours by the same with underscores for dots.
    """
    name = transformer_layer(name)
    if match := _ADAPTER.fullmatch(name):
        head, block, attention, rest = match.groups()
        name = f"{head}temporal_transformer.{block}attention_blocks.{int(attention) - 1}.{rest}"
    elif match := _ADAPTER_PLAIN.fullmatch(name):
        name = f"{match[1]}temporal_transformer.{match[2]}"
    if compvis := unet_key(_BESIDE_NUMBER.sub(".", name) + ".weight"):
        name = compvis.removesuffix(".weight")
    return name if name in layers else flat.get(name.replace(".", "_"))
