"""Convert the officially published weights into a model folder of safetensors and one configuration."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..models.build import build_networks
from ..models.config import ModelConfig
from ..models.temporal import PositionTable
from .empty_text import empty_text_tokens
from .folder_output import check_output, temporary_folder
from .layout import Shape
from .official import (
    OfficialFiles,
    Source,
    find_official_files,
    fit_sources,
    infer_config,
)
from .tensor_files import TensorFile, is_finite, write_safetensors

Progress = Callable[[int, int], None]
"""Called after every tensor with the bytes written so far and the bytes in all."""


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        output: the model folder.
        checkpoint: the checkpoint it was made from.
        config: the inferred configuration.
        sizes: bytes of each written network.
        from_base: per network, how many tensors the checkpoint lacked and its starting weights gave.
        recomputed: position tables that no file held.
        ignored: tensors of the checkpoint that no network uses.
        shared_vae: a model folder whose autoencoder is the same, which is then stored once.
    """

    output: Path
    checkpoint: Path
    config: ModelConfig
    sizes: Mapping[str, int]
    from_base: Mapping[str, int]
    recomputed: int
    ignored: int
    shared_vae: Path | None = None


def convert_official(
    source: Path,
    output: Path,
    *,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: Progress | None = None,
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
    check_output(output, "config.json", overwrite)
    files = find_official_files(source, checkpoint)
    config = infer_config(files)
    plans = _plan(files, config)
    shared_vae: Path | None = None
    sizes = {name: _count(plan.expected) * dtype.itemsize for name, plan in plans.items()}
    total, done = sum(sizes.values()), 0
    with temporary_folder(output, total) as folder:
        for name, plan in plans.items():
            with open(folder / f"{name}.safetensors", "wb") as file:
                for nbytes in write_safetensors(file, plan.order, dtype, _cast(plan, dtype)):
                    done += nbytes
                    if progress:
                        progress(done, total)
        shared_vae = _share_vae(folder, output)
        (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
    return ConversionReport(
        output=output,
        checkpoint=files.checkpoint,
        config=config,
        sizes=sizes,
        from_base={
            name: len(files.from_base[name] & plans[name].sources.keys())
            for name in ("denoiser", "reference_network")
        },
        recomputed=sum(
            len(plan.expected) - len(plan.sources) - len(plan.computed) for plan in plans.values()
        ),
        ignored=len(files.ignored) + len(files.text_encoder),
        shared_vae=shared_vae,
    )


@dataclass(frozen=True)
class _Plan:
    """Expected tensors of one network and where they come from.

    Those without a source are ``computed`` already, or are position tables.
    """

    expected: Mapping[str, Shape]
    sources: Mapping[str, Source]
    computed: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def groups(self) -> list[tuple[TensorFile | None, list[str]]]:
        """Names by the file they are read from, in the order of writing."""
        files = {source.file.path: source.file for source in self.sources.values()}
        groups: dict[Path | None, list[str]] = {}
        for name in self.expected:
            path = self.sources[name].file.path if name in self.sources else None
            groups.setdefault(path, []).append(name)
        return [(files[path] if path else None, names) for path, names in groups.items()]

    @property
    def order(self) -> list[tuple[str, Shape]]:
        """Names and shapes in the order of writing."""
        return [(name, self.expected[name]) for _, names in self.groups for name in names]


def _plan(files: OfficialFiles, config: ModelConfig) -> dict[str, _Plan]:
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
            plans[name] = _Plan(keys, {}, {"tokens": _empty_text(files)})
        else:
            plans[name] = _Plan(keys, fit_sources(files, name, keys))
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


def _cast(plan: _Plan, dtype: torch.dtype) -> Iterator[Tensor]:
    """The tensors in the order of writing, in their expected shape and dtype."""
    for name, tensor in _tensors(plan):
        result = tensor.to(dtype).reshape(plan.expected[name])
        if not is_finite(result):
            where = plan.sources[name]
            raise InputError(
                where.file.path,
                f"{where.key} holds NaN or values beyond {str(dtype).removeprefix('torch.')}",
                "Try --dtype float32; if it stays so, download the file again",
            )
        yield result


def _tensors(plan: _Plan) -> Iterator[tuple[str, Tensor]]:
    for file, names in plan.groups:
        if file is None:
            for name in names:
                computed = plan.computed.get(name)
                yield name, _position_table(plan.expected[name]) if computed is None else computed
        else:
            by_key = {plan.sources[name].key: name for name in names}
            for key, tensor in file.stream(by_key):
                yield by_key[key], tensor


def _position_table(shape: Shape) -> Tensor:
    _, positions, width = shape
    return PositionTable(width, positions).get_buffer("pe")


def _count(shapes: Mapping[str, Shape]) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values())
