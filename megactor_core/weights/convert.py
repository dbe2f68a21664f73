"""Convert the officially published weights into a model folder of safetensors and one configuration."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..files import check_output_folder
from ..models.config import ModelConfig
from ..models.networks import build_networks
from .empty_text import empty_text_tokens
from .folder_plan import NetworkPlan, OnBytes, write_model_folder
from .official import (
    OfficialFiles,
    find_official_files,
    fit_sources,
    infer_config,
)


@dataclass(frozen=True)
class ConversionReport:
    """Report of a conversion.

    Attributes:
        output: the model folder.
        checkpoint: the checkpoint it was made from.
        config: the inferred configuration.
        sizes: bytes of each written network.
        from_base: per network, how many tensors the checkpoint lacked and its starting weights gave.
        recomputed: position tables that no file held.
        ignored: tensors of the checkpoint that no network uses.
        choice: which of several copies of the weights in it was taken; empty where there is one.
        shared_vae: a model folder whose autoencoder is the same, which is then stored once.
    """

    output: Path
    checkpoint: Path
    config: ModelConfig
    sizes: Mapping[str, int]
    from_base: Mapping[str, int]
    recomputed: int
    ignored: int
    choice: str = ""
    shared_vae: Path | None = None


def convert_official(
    source: Path,
    output: Path,
    *,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: OnBytes | None = None,
) -> ConversionReport:
    """Write the model folder ``output`` from the official layout in ``source``.

    Tensors are read, cast and written one by one: memory stays near 0.3 GB, whatever the file sizes.

    Args:
        source: folder with the checkpoint of a family and what ``families`` puts beside it, or the one above.
        output: folder to make.
        checkpoint: the checkpoint, if ``source`` holds several.
        dtype: float16 (what the reference implementation computes in), bfloat16 or float32.
        overwrite: replace an existing ``output``.
        progress: told how far it is.

    Raises:
        InputError: the source is incomplete, damaged or of another family; the output exists or the disk is
            full.
    """
    check_output_folder(output, "config.json", overwrite)
    files = find_official_files(source, checkpoint)
    config = infer_config(files)
    plans = _plan(files, config)
    shared_vae: Path | None = None

    def share_vae(folder: Path) -> None:
        nonlocal shared_vae
        shared_vae = _share_vae(folder, output)

    write_model_folder(output, plans, config, dtype, progress, share_vae)
    return ConversionReport(
        output=output,
        checkpoint=files.checkpoint,
        config=config,
        sizes={name: plan.size(dtype) for name, plan in plans.items()},
        from_base={
            name: len(files.from_base[name] & plans[name].sources.keys())
            for name in ("denoiser", "reference_network")
        },
        recomputed=sum(
            len(plan.expected) - len(plan.sources) - len(plan.computed) for plan in plans.values()
        ),
        ignored=len(files.ignored) + len(files.text_encoder),
        choice=files.choice,
        shared_vae=shared_vae,
    )


def _plan(files: OfficialFiles, config: ModelConfig) -> dict[str, NetworkPlan]:
    try:
        with torch.device("meta"):
            networks = build_networks(config)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            files.checkpoint, f"its layers do not make up a model ({error})", "Give the official weights"
        ) from error
    expected = {
        name: {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        for name, network in networks.items()
    }
    plans = {}
    for name, keys in expected.items():
        if name == "constant_context" and files.text_encoder:
            plans[name] = NetworkPlan(keys, {}, {"tokens": _empty_text(files)})
        else:
            plans[name] = NetworkPlan(keys, fit_sources(files, name, keys))
    return plans


def _empty_text(files: OfficialFiles) -> Tensor:
    text = files.text_encoder
    file = next(iter(text.values())).file
    names = {source.key: name for name, source in text.items()}

    def stream(wanted: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        return ((names[key], tensor) for key, tensor in file.stream([text[name].key for name in wanted]))

    try:
        return empty_text_tokens({name: source.shape for name, source in text.items()}, stream)
    except (KeyError, RuntimeError) as error:
        raise InputError(
            files.checkpoint, f"its text encoder is not CLIP's ({error})", "Give the official weights"
        ) from error


def _share_vae(folder: Path, output: Path) -> Path | None:
    """Store the autoencoder once where a model beside ``output`` has the same; returns that model."""
    own = folder / "vae.safetensors"
    for other in sorted(output.parent.glob("*/vae.safetensors")):
        unfinished = other.parent.name.startswith(".")
        if unfinished or other.parent == output or not filecmp.cmp(own, other, shallow=False):
            continue
        twin = folder / ".vae.safetensors"
        try:
            os.link(other, twin)
        except OSError:
            return None  # this file system knows no links: the copy stays
        os.replace(twin, own)
        return other.parent
    return None
