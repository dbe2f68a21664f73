"""Strength an adapter was trained with, where its tensors do not tell: its header, a file beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .tensor_files import TensorFile

_DIFFUSERS = "lora_adapter_metadata"
_PEFT_NAME = "adapter_model"
_PEFT_CONFIG = "adapter_config.json"
_UNET = "unet."
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_REMEDY = "Save it again with the tool that trained it"


@dataclass(frozen=True)
class LoraSettings:
    """Settings of an adapter of the denoiser, as its trainer wrote them.

    Attributes:
        alpha: of all layers, None where it was not written.
        conv_alpha: of convolutions larger than 1 x 1, if they have one of their own.
        rank: of all layers, None where it was not written.
        alphas, ranks: of layers whose names fit a regular expression, as PEFT matches them.
        by_square_root: alpha is divided by the root of the rank (rsLoRA, arXiv 2312.03732).
        has_magnitudes: it is a DoRA.
    """

    alpha: float | None = None
    conv_alpha: float | None = None
    rank: float | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, float] = field(default_factory=dict)
    by_square_root: bool = False
    has_magnitudes: bool = False

    def scale(self, layer: str, rank: int | None, alpha: float | None, is_conv: bool) -> float:
        """Factor of a layer's product.

        Args:
            layer: what the file calls it, without prefixes.
            rank: of its factors, None for a method without one.
            alpha: from the layer's own tensor, if it has one.
            is_conv: whether it is a convolution larger than 1 x 1.
        """
        if alpha is None:
            common = self.conv_alpha if is_conv and self.conv_alpha is not None else self.alpha
            alpha = _matching(self.alphas, layer, common)
            # PEFT scales a LoKr of two whole factors, too; LyCORIS does not
            divisor = rank or _matching(self.ranks, layer, self.rank)
        else:
            divisor = rank
        if alpha is None or not divisor:
            return 1.0
        return alpha / (math.sqrt(divisor) if self.by_square_root else divisor)


def read_settings(file: TensorFile) -> LoraSettings:
    """Settings of an adapter: from diffusers' or kohya's entries in its header, else from PEFT's
    ``adapter_config.json`` beside an ``adapter_model`` file.

    Raises:
        InputError: they are damaged, or tell of weights that were changed before training.
    """
    beside = file.path.with_name(_PEFT_CONFIG)
    if text := file.metadata.get(_DIFFUSERS):
        return _of_peft(file.path, _DIFFUSERS, text)
    if file.path.stem == _PEFT_NAME and beside.is_file():
        return _of_peft(file.path, _PEFT_CONFIG, beside.read_bytes())
    return _of_kohya(file.metadata)


def _of_peft(path: Path, where: str, text: str | bytes) -> LoraSettings:
    try:
        values: dict[str, Any] = json.loads(text)
        if any(key.startswith(_UNET) for key in values):
            values = {key.removeprefix(_UNET): v for key, v in values.items() if key.startswith(_UNET)}
        start = values.get("init_lora_weights")
        settings = LoraSettings(
            alpha=_number(values.get("lora_alpha", values.get("alpha"))),
            rank=_number(values.get("r")),
            alphas=_numbers(values.get("alpha_pattern")),
            ranks=_numbers(values.get("rank_pattern")),
            by_square_root=bool(values.get("use_rslora")),
            has_magnitudes=bool(values.get("use_dora")),
        )
    except (ValueError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise InputError(path, f"its {where} is damaged ({error})", _REMEDY) from error
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASE):
        raise InputError(
            path,
            f"was trained on weights that were changed first ({start})",
            "Save it as a plain LoRA: PEFT's save_pretrained(path_initial_model_for_weight_conversion=...)",
        )
    return settings


def _of_kohya(metadata: Mapping[str, str]) -> LoraSettings:
    """Of a file that lost its ``alpha`` tensors; what cannot be read was not written by kohya's tools."""
    try:
        arguments = json.loads(metadata.get("ss_network_args") or "{}")
        conv_alpha = arguments.get("conv_alpha") if isinstance(arguments, dict) else None
        return LoraSettings(_number(metadata.get("ss_network_alpha")), _number(conv_alpha))
    except ValueError:
        return LoraSettings()


def _number(value: Any) -> float | None:
    if value is None or value == "None":
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _numbers(values: Any) -> dict[str, float]:
    found = {}
    for pattern, value in (values or {}).items():
        re.compile(pattern)
        if (number := _number(value)) is not None:
            found[pattern] = number
    return found


def _matching(patterns: Mapping[str, float], layer: str, otherwise: float | None) -> float | None:
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", layer):
            return value
    return otherwise
