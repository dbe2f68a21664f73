"""Low-rank additions ("LoRA") from the files users have: style, few-step (LCM, Hyper-SD) and camera motion.

They end up in the denoiser's weights, so that sampling does no more work than without.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError
from .compvis import unet_key
from .layout import first_few, recognise
from .tensor_files import TensorFile, open_tensor_file

# Both factors and their scale, however the tool that trained them calls them; the layer's name comes before.
# kohya: X.lora_down.weight, X.alpha; PEFT: X.lora_A.weight, X.lora_A.default.weight; diffusers, by age:
# X.lora_linear_layer.down.weight, X.lora.down.weight, and attention.processor.to_q_lora.down.weight.
_ENDINGS = (
    (re.compile(r"(.+)\.lora_(?P<part>down|up)\.weight"), r"\1"),
    (re.compile(r"(.+)\.lora_(?P<part>[AB])(?:\.[^.]+)?\.weight"), r"\1"),
    (re.compile(r"(.+)\.lora(?:_linear_layer)?\.(?P<part>down|up)\.weight"), r"\1"),
    (re.compile(r"(.+)\.processor\.(to_q|to_k|to_v)_lora\.(?P<part>down|up)\.weight"), r"\1.\2"),
    (re.compile(r"(.+)\.processor\.to_out_lora\.(?P<part>down|up)\.weight"), r"\1.to_out.0"),
    (re.compile(r"(.+)\.(?P<part>alpha|dora_scale)"), r"\1"),
    (re.compile(r"(.+)\.lora_(?P<part>mid)\.weight"), r"\1"),
)
_PARTS = {"A": "down", "B": "up"}
_PREFIXES = re.compile(r"(?:base_model\.model\.|module\.|unet\.|(?:model\.)?diffusion_model\.|lora_unet_)+")
_TEXT = re.compile(r"(?:lora_te\d?_|text_encoder|te\d?_text_model|base_model\.model\.text_model)")
# diffusers' motion adapter and the original AnimateDiff nest the same layers differently.
_ADAPTER = re.compile(
    r"(.*motion_modules\.\d+\.)(?:temporal_transformer\.)?(transformer_blocks\.\d+\.)attn([12])\.(.+)"
)
_ADAPTER_PLAIN = re.compile(r"(.*motion_modules\.\d+\.)((?:transformer_blocks|proj_in|proj_out).*)")
# CompVis' names have numbers between dots, some of which kohya's tools made underscores.
_BESIDE_NUMBER = re.compile(r"(?<=[a-z])_(?=\d)|(?<=\d)_")
_INPUT = "conv_in"


@dataclass(frozen=True)
class LoraReport:
    """What of a file was used.

    Attributes:
        path: the file.
        merged: layers of the denoiser that it changed.
        unmatched: names in the file that fit no layer or are of an unknown kind.
        text: how many names belong to a text encoder, which these models do not have.
    """

    path: Path
    merged: tuple[str, ...]
    unmatched: tuple[str, ...]
    text: int

    def __str__(self) -> str:
        return "; ".join(self._parts(f": {first_few(self.unmatched)}"))

    def listing(self) -> str:
        """The same with every name that was not used, one per line."""
        return "\n".join(["; ".join(self._parts("")), *self.unmatched])

    def _parts(self, names: str) -> list[str]:
        parts = [f"{self.path.name}: {len(self.merged)} layers changed"]
        if self.unmatched:
            parts.append(f"{len(self.unmatched)} names without a match{names}")
        if self.text:
            parts.append(f"{self.text} names of the text encoder left out")
        return parts


class LowRank(NamedTuple):
    """What a LoRA adds to a layer's weight: ``up @ down``, times ``alpha / rank`` where there is an alpha.

    ``down`` is ``(rank, in, ...)`` and ``up`` ``(out, rank, ...)``, on the CPU in the file's type.
    """

    down: Tensor
    up: Tensor
    alpha: float | None

    def change(self) -> Tensor:
        """The addition, ``(out, in * ...)`` float32."""
        down, up = self.down.float(), self.up.float()
        scale = 1.0 if self.alpha is None else self.alpha / down.shape[0]
        return scale * (up.flatten(1) @ down.flatten(1))


@dataclass(frozen=True)
class MatchedLora:
    """A LoRA file compared with a denoiser.

    Attributes:
        file: the opened file.
        layers: the names in it by their part (``down``, ``up``, ``alpha``), by the layer they are for.
        report: what of it is used.
    """

    file: TensorFile
    layers: Mapping[str, Mapping[str, str]]
    report: LoraReport

    def read(self) -> Iterator[tuple[str, LowRank]]:
        """Every layer's name and its factors, one layer after another."""
        tensors = self.file.stream(key for parts in self.layers.values() for key in parts.values())
        for layer, parts in self.layers.items():
            # what is streamed is valid until the next tensor only
            read = {key: tensor.clone() for key, tensor in islice(tensors, len(parts))}
            alpha = float(read[parts["alpha"]]) if "alpha" in parts else None
            yield layer, LowRank(read[parts["down"]], read[parts["up"]], alpha)


class _Name(NamedTuple):
    layer: str
    part: str


def match_lora(denoiser: nn.Module, path: Path) -> MatchedLora:
    """Find the layers that a LoRA is for.

    Args:
        denoiser: with the names of our networks; its spatial and its temporal layers take part.
        path: safetensors file or checkpoint, named by kohya's tools (after diffusers or after CompVis), PEFT,
            diffusers or AnimateDiff.

    Raises:
        InputError: an unusable file or a LoRA of another architecture.
    """
    file = open_tensor_file(path)
    layers = {name: module for name, module in denoiser.named_modules() if _weight(module) is not None}
    flat = {name.replace(".", "_"): name for name in layers}
    factors: dict[str, dict[str, str]] = defaultdict(dict)
    unmatched: list[str] = []
    text = 0
    for key in file.shapes:
        if _TEXT.match(key):
            text += 1
            continue
        name = _parse(key)
        layer = None if name is None else _find(name.layer, layers, flat)
        if name is None or layer is None:
            unmatched.append(key)
        else:
            factors[layer][name.part] = key
    for layer in [layer for layer, parts in factors.items() if not _usable(parts.keys())]:
        unmatched += factors.pop(layer).values()
    misfits = [layer for layer, parts in factors.items() if not _fits(layers[layer], file.shapes, parts)]
    if misfits == [_INPUT]:  # families that show their conditions beside the latent have one of their own
        unmatched += factors.pop(_INPUT).values()
        misfits = []
    if not factors:
        kind = recognise(file.shapes)
        unclear = kind.name in ("lora", "unknown")
        problem = "fits no layer of this model" if unclear else f"is {kind.description}"
        raise InputError(path, f"{problem}; it may be for another architecture", "Use a LoRA of SD1.5")
    if misfits:
        raise InputError(
            path, f"is for another architecture: its {misfits[0]} is of another size", "Use a LoRA of SD1.5"
        )
    return MatchedLora(file, factors, LoraReport(path, tuple(factors), tuple(unmatched), text))


@torch.no_grad()
def merge_lora(denoiser: nn.Module, path: Path, scale: float = 1.0) -> LoraReport:
    """Add a LoRA to the denoiser's weights, in their place and type.

    Args:
        denoiser, path: see ``match_lora``.
        scale: factor of the addition; 1 as trained, 0 none, negative the opposite.

    Raises:
        InputError: as ``match_lora``, or a scale that is no finite number; nothing is changed then.
    """
    check_scale(scale)
    lora = match_lora(denoiser, path)
    for layer, factors in lora.read():
        weight = _weight(denoiser.get_submodule(layer))
        assert weight is not None
        change = factors.change().to(weight.device).reshape(weight.shape)
        weight.copy_(weight.float() + scale * change)
    return lora.report


def check_scale(scale: float) -> None:
    """Raises InputError for a factor that is no finite number."""
    if not math.isfinite(scale):
        raise InputError(f"LoRA scale {scale}", "must be a finite number", "use 0 to 1")


def _usable(parts: Iterable[str]) -> bool:
    """Whether a layer has both factors, and nothing that a plain product of two does not do (DoRA, LoCon)."""
    return {"down", "up"} <= set(parts) <= {"down", "up", "alpha"}


def _parse(key: str) -> _Name | None:
    for pattern, layer in _ENDINGS:
        if match := pattern.fullmatch(key):
            part = match["part"]
            return _Name(match.expand(layer), _PARTS.get(part, part))
    return None


def _find(name: str, layers: Iterable[str], flat: dict[str, str]) -> str | None:
    """Our name of a layer; kohya's names, after diffusers or CompVis, have underscores for dots."""
    if prefix := _PREFIXES.match(name):
        name = name[prefix.end() :]
    if match := _ADAPTER.fullmatch(name):
        head, block, attention, rest = match.groups()
        name = f"{head}temporal_transformer.{block}attention_blocks.{int(attention) - 1}.{rest}"
    elif match := _ADAPTER_PLAIN.fullmatch(name):
        name = f"{match[1]}temporal_transformer.{match[2]}"
    if compvis := unet_key(_BESIDE_NUMBER.sub(".", name) + ".weight"):
        name = compvis.removesuffix(".weight")
    return name if name in layers else flat.get(name.replace(".", "_"))


def _weight(module: nn.Module) -> Tensor | None:
    return module.weight if isinstance(module, nn.Linear | nn.Conv2d) else None


def _fits(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], parts: Mapping[str, str]) -> bool:
    """Whether both factors are of the size of a layer's weight."""
    weight = _weight(module)
    assert weight is not None
    down, up = shapes[parts["down"]], shapes[parts["up"]]
    return up[:2] == (weight.shape[0], *down[:1]) and up[0] * math.prod(down[1:]) == weight.numel()
