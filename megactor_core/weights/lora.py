"""Adapters ("LoRA") from the files users have: style, few-step (LCM, Hyper-SD) and camera motion.

They end up in the denoiser's weights, so that sampling does no more work than without.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from .layer_change import LayerChange, method_of, rank_of
from .layout import first_few, recognise
from .lora_names import find_layer, is_of_text, other_method, read_name
from .lora_settings import LoraSettings, read_settings
from .tensor_files import TensorFile, is_finite, open_tensor_file

LARGEST_SCALE = 10.0
_INPUT, _OUTPUT = "conv_in", "proj_out"
_REMEDIES = {_INPUT: "Use a LoRA of SD1.5", "pos_embed.proj": "Use a LoRA of PixArt-alpha 512 or Latte-1"}
_PEFT_MAGNITUDE = "lora_magnitude_vector"
_DORA = "DoRA"


@dataclass(frozen=True)
class LoraReport:
    """Report of the used and unused parts of a file.

    Attributes:
        path: the file.
        merged: layers of the denoiser that it changed.
        unmatched: names in the file that fit no layer or are of an unknown kind.
        text: how many names belong to a text encoder, which these models do not have.
        methods: what it is made of; empty for a plain LoRA.
    """

    path: Path
    merged: tuple[str, ...]
    unmatched: tuple[str, ...]
    text: int
    methods: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self._parts(f": {first_few(self.unmatched)}"))

    def listing(self) -> str:
        """The report with every name that was not used, one per line."""
        return "\n".join(["; ".join(self._parts("")), *self.unmatched])

    def _parts(self, names: str) -> list[str]:
        methods = f" ({', '.join(self.methods)})" if self.methods else ""
        parts = [f"{self.path.name}: {len(self.merged)} layers changed{methods}"]
        if self.unmatched:
            parts.append(f"{len(self.unmatched)} names without a match{names}")
        if self.text:
            parts.append(f"{self.text} names of the text encoder left out")
        return parts


@dataclass(frozen=True)
class MatchedLora:
    """A LoRA file compared with a denoiser.

    Attributes:
        file: the opened file.
        layers: the names in it by their part (``down``, ``up``, ``alpha``, ...), by the layer they are for.
        names: what the file calls these layers.
        settings: what its trainer wrote about it.
        report: what of it is used.
    """

    file: TensorFile
    layers: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]
    settings: LoraSettings
    report: LoraReport

    def read(self) -> Iterator[tuple[str, LayerChange]]:
        """The name of every parameter that is changed, and its change, one layer after another."""
        tensors = self.file.stream(key for parts in self.layers.values() for key in parts.values())
        for layer, parts in self.layers.items():
            # what is streamed is valid until the next tensor only
            read = [tensor.clone() for _, tensor in islice(tensors, len(parts))]
            for name, change in self.changes(layer, dict(zip(parts, read, strict=True))):
                yield f"{layer}.{name}", change

    def changes(self, layer: str, factors: Mapping[str, Tensor]) -> Iterator[tuple[str, LayerChange]]:
        """The changes of a layer's weight and bias, with their names, out of its tensors by their part."""
        factors = dict(factors)
        if _PEFT_MAGNITUDE in self.layers[layer].get("magnitude", ""):
            # of a convolution it is (1, out, 1, 1), which elsewhere would be one length per column
            factors["magnitude"] = factors["magnitude"].flatten()
        shapes = {part: tuple(tensor.shape) for part, tensor in factors.items()}
        method = method_of(factors)
        rank = None if method is None else rank_of(method, shapes)
        alpha = float(factors.pop("alpha")) if "alpha" in factors else None
        convolves = any(max(shape[2:], default=1) > 1 for shape in shapes.values())
        scale = self.settings.scale(self.names[layer], rank, alpha, convolves)
        if "up_bias" in factors:
            yield "bias", LayerChange("bias", scale, {"bias_diff": factors.pop("up_bias")})
        elif "bias_diff" in factors:
            yield "bias", LayerChange("bias", 1.0, {"bias_diff": factors.pop("bias_diff")})
        if method is not None:
            full = method in ("full difference", "replaced weight")
            yield "weight", LayerChange(method, 1.0 if full else scale, factors)


def match_lora(denoiser: nn.Module, path: Path) -> MatchedLora:
    """Find the layers that a LoRA is for.

    Args:
        denoiser: with the names of our networks; its spatial and its temporal layers take part.
        path: safetensors file or checkpoint, named by kohya's tools (after diffusers or after CompVis), PEFT,
            diffusers, LyCORIS or AnimateDiff: LoRA, DoRA, LoHa, LoKr or full differences.

    Raises:
        InputError: an unusable file, another method, a LoRA of another architecture, or numbers that are not
            finite.
    """
    file = open_tensor_file(path)
    layers = {name: module for name, module in denoiser.named_modules() if _has_weight(module)}
    flat = {name.replace(".", "_"): name for name in layers}
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    names: dict[str, str] = {}
    unmatched: list[str] = []
    text = [key for key in file.shapes if is_of_text(key)]
    others = file.shapes.keys() - text
    if method := other_method(others):
        raise InputError(
            path, f"is a {method}, which is not applied here", "Have its trainer save a LoRA, LoHa or LoKr"
        )
    for key in (key for key in file.shapes if key in others):
        name = read_name(key)
        layer = None if name is None else find_layer(name.layer, layers, flat)
        if name is None or layer is None or name.part in parts[layer]:
            unmatched.append(key)
        else:
            parts[layer][name.part], names[layer] = key, name.layer
    for layer in [layer for layer, own in parts.items() if not _complete(own)]:
        unmatched += parts.pop(layer).values()
    settings = read_settings(file)
    found = MatchedLora(file, parts, names, settings, LoraReport(path, (), (), 0))
    misfits = [(layer, why) for layer in parts if (why := _misfit(found, layer, layers[layer]))]
    entry = getattr(denoiser, "input_layer", _INPUT)
    if {layer for layer, _ in misfits} <= {entry, _OUTPUT}:
        # families that show their conditions beside the latent have an input of their own, and a transformer
        # is without the public one's learned variance
        for layer, _ in misfits:
            unmatched += parts.pop(layer).values()
        misfits = []
    if not parts:
        raise _no_layer(path, file, len(text), _REMEDIES[entry])
    if misfits:
        layer, why = misfits[0]
        raise InputError(
            path, f"is for another architecture: its {layer} is of another size ({why})", _REMEDIES[entry]
        )
    if settings.has_magnitudes and not all("magnitude" in own for own in parts.values() if "down" in own):
        raise InputError(path, f"is a {_DORA} that lacks magnitudes", "Save it again with its trainer")
    _check_finite(found)
    return replace(found, report=LoraReport(path, tuple(parts), tuple(unmatched), len(text), _methods(parts)))


@torch.no_grad()
def merge_lora(denoiser: nn.Module, path: Path, scale: float = 1.0) -> LoraReport:
    """Add a LoRA to the denoiser's weights, in their place and type.

    Args:
        denoiser, path: see ``match_lora``.
        scale: factor of what is added; 1 as trained, 0 none, negative the opposite. Of a DoRA, too, it is the
            whole difference to the trained weight that is multiplied, as in ComfyUI.

    Raises:
        InputError: as ``match_lora`` and ``check_scale``, nothing is changed then; or the sum is beyond the
            weights' type.
    """
    check_scale(scale)
    lora = match_lora(denoiser, path)
    for name, change in lora.read():
        parameter = denoiser.get_parameter(name)
        changed = (parameter.float() + scale * change(parameter)).to(parameter.dtype)
        if not is_finite(changed):
            dtype = str(parameter.dtype).removeprefix("torch.")
            raise InputError(path, f"takes {name} beyond {dtype}", "Lower its scale, or use a wider dtype")
        parameter.copy_(changed)
    return lora.report


def check_scale(scale: float) -> None:
    """Raises InputError for a factor that is no number from -10 to 10."""
    if not math.isfinite(scale):
        raise InputError(f"LoRA scale {scale}", "must be a finite number", "Use 0 to 1")
    if abs(scale) > LARGEST_SCALE:
        raise InputError(
            f"LoRA scale {scale:g}", f"must be from {-LARGEST_SCALE:g} to {LARGEST_SCALE:g}", "Use 0 to 1"
        )


def _has_weight(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d | nn.GroupNorm | nn.LayerNorm)


def _complete(parts: Iterable[str]) -> bool:
    """Whether these parts of a layer make up a change of its weight, its bias or both."""
    return method_of(parts) is not None or set(parts) == {"bias_diff"}


def _misfit(lora: MatchedLora, layer: str, module: nn.Module) -> str | None:
    """The problem of a layer's parts; None if they fit."""
    shapes = {part: lora.file.shapes[key] for part, key in lora.layers[layer].items()}
    if math.prod(alpha := shapes.pop("alpha", ())) != 1:
        return f"alpha {list(alpha)}"
    described = ", ".join(f"{part} {list(shape)}" for part, shape in shapes.items())
    factors = {part: torch.empty(shape, device="meta") for part, shape in shapes.items()}
    for name, change in lora.changes(layer, factors):
        own = getattr(module, name)
        try:
            change(torch.empty(own.shape if own is not None else 0, device="meta"))
        except RuntimeError:
            return f"{described} for {list(own.shape) if own is not None else 'no ' + name}"
    return None


def _no_layer(path: Path, file: TensorFile, text: int, remedy: str) -> InputError:
    if text:
        problem = "changes the text encoder alone, which these models do not have"
        return InputError(path, problem, "Use a LoRA that was trained with the UNet")
    kind = recognise(file.shapes)
    problem = "fits no layer of this model" if kind.name in ("lora", "unknown") else f"is {kind.description}"
    return InputError(path, f"{problem}; it may be for another architecture", remedy)


def _methods(layers: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Methods in a file beside plain products of two factors."""
    found = {method_of(parts) for parts in layers.values()} - {None, "LoRA"}
    magnitudes = any("magnitude" in parts for parts in layers.values())
    return (*sorted(filter(None, found)), *([_DORA] if magnitudes else []))


def _check_finite(lora: MatchedLora) -> None:
    for name, tensor in lora.file.stream(key for parts in lora.layers.values() for key in parts.values()):
        if not is_finite(tensor):
            problem = f"{lora.file.key(name)} holds NaN or infinity"
            raise InputError(lora.file.path, problem, "Download it again, or use another")
