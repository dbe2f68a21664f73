"""Write a model folder in the official key layout: the way back from ``convert``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..families.registry import FAMILIES
from ..files import check_output_folder, new_folder
from ..models.config import ModelConfig
from ..models.sd15.config import UNetConfig
from .layout import Shape
from .loading import build_on_meta, open_network_file, read_config, resolve_model
from .official import CONFIG_ENTRY
from .pixart import diffusers_key
from .tensor_files import TensorFile, write_safetensors

CHECKPOINT_NAME = "checkpoint.safetensors"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class _Part:
    """One network's tensors under the names they get in a file."""

    file: TensorFile
    names: Mapping[str, str]


def export_official(
    source: Path, output: Path, *, dtype: torch.dtype = torch.float32, overwrite: bool = False
) -> list[Path]:
    """Write denoiser and reference network as a training checkpoint, and what belongs beside it.

    The layout is what ``find_official_files`` reads: ``checkpoint.safetensors`` with keys such as
    ``module.unet.conv_in.weight``, ``StableDiffusion/unet/config.json``, and image encoder and autoencoder in
    its family's places. Where a family's checkpoint is a whole model, that file holds all networks and the
    configuration, transformers by diffusers' names. Tensors are read, cast and written one by one.

    Args:
        source: model folder.
        output: folder to make.
        dtype: float16, bfloat16 or float32.
        overwrite: replace an existing ``output``.

    Returns:
        The files that were written.

    Raises:
        InputError: no model folder, one of a family without an export, or one with a schedule of its own that
            the layout cannot tell of; the output exists or the disk is full.
    """
    folder = resolve_model(source)
    config = read_config(folder)
    official = FAMILIES.get(config.family)
    if official is None or not official.exported:
        exported = " and ".join(family.name for family in FAMILIES.values() if family.exported)
        raise InputError(
            source, f"is a model of {config.family}; only {exported} models are trained and exported",
            "Give another model folder",
        )  # fmt: skip
    layout = official.layout
    for field in ("inference_scheduler", "reference_posterior"):
        if not layout.whole and getattr(config, field) != getattr(official.config, field):
            raise InputError(
                source, f"has its own {field}, of which the official layout cannot tell",
                "Use the model folder as it is",
            )  # fmt: skip
    check_output_folder(output, CHECKPOINT_NAME, overwrite)
    files = {
        name: open_network_file(folder, name, network)
        for name, network in build_on_meta(config, folder).items()
    }
    prefixes = {network: f"{layout.wrapper}{part}" for part, network in layout.parts.items()}
    trained = [
        _Part(file, {key: prefixes[name] + diffusers_key(key) for key in file.shapes})
        for name, file in files.items()
        if layout.whole or name in ("denoiser", "reference_network")
    ]
    size = sum(sum(torch.Size(shape).numel() for shape in file.shapes.values()) for file in files.values())
    with new_folder(output, size * dtype.itemsize) as made:
        entries = {CONFIG_ENTRY: json.dumps(config.to_dict())} if layout.whole else {}
        _write(made / CHECKPOINT_NAME, trained, dtype, entries)
        if not layout.whole:
            _write_beside(made, official.places, files, config, dtype)
        written = [path.relative_to(made) for path in sorted(made.rglob("*")) if path.is_file()]
    return [output / path for path in written]


def _write_beside(
    folder: Path,
    places: Mapping[str, tuple[str, ...]],
    files: Mapping[str, TensorFile],
    config: ModelConfig,
    dtype: torch.dtype,
) -> None:
    """What a checkpoint does not hold: configurations, image encoder and autoencoder, in their places."""
    for name, values in _configs(config).items():
        place = folder / places[name][0]
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for name in ("image_encoder", "vae"):
        part = _Part(files[name], {key: key for key in files[name].shapes})
        _write(folder / places[name][0] / _WEIGHTS, [part], dtype)


def _configs(config: ModelConfig) -> dict[str, Mapping[str, Any]]:
    """Configurations that shapes do not tell, in the words of diffusers and transformers."""
    # every exported family has one, and a UNet
    assert config.image_encoder is not None and isinstance(config.denoiser, UNetConfig)
    unet = {
        "attention_head_dim": config.denoiser.num_attention_heads,
        "norm_num_groups": config.denoiser.norm_num_groups,
    }
    return {"denoiser": unet, "image_encoder": config.image_encoder, "vae": config.vae}


def _write(
    path: Path, parts: list[_Part], dtype: torch.dtype, metadata: Mapping[str, str] | None = None
) -> None:
    shapes: list[tuple[str, Shape]] = [
        (name, part.file.shapes[key]) for part in parts for key, name in part.names.items()
    ]
    with open(path, "wb") as file:
        for _ in write_safetensors(file, shapes, dtype, _stream(parts, dtype), metadata):
            pass


def _stream(parts: list[_Part], dtype: torch.dtype) -> Iterator[Tensor]:
    for part in parts:
        for _, tensor in part.file.stream(part.names):
            yield tensor.to(dtype)
