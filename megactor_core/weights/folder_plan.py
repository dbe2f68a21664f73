"""Model folders written tensor by tensor: each is read, cast and written before the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..files import new_folder
from ..models.config import ModelConfig
from ..models.temporal import PositionTable
from .layout import Shape
from .official import Source
from .tensor_files import TensorFile, is_finite, write_safetensors

OnBytes = Callable[[int, int], None]
"""Called after every tensor with the bytes written so far and the bytes in all."""


@dataclass(frozen=True)
class NetworkPlan:
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

    def size(self, dtype: torch.dtype) -> int:
        """Bytes of the tensors in a number format."""
        return sum(torch.Size(shape).numel() for shape in self.expected.values()) * dtype.itemsize


def write_model_folder(
    output: Path,
    plans: Mapping[str, NetworkPlan],
    config: ModelConfig,
    dtype: torch.dtype,
    progress: OnBytes | None = None,
    finish: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Write a model folder, which appears whole or not at all.

    Args:
        output: folder to make.
        plans: of every network.
        config: of the model.
        dtype: number format of the files.
        progress: told how far it is.
        finish: called with the folder, still under its temporary name, when all networks are written.

    Raises:
        InputError: a tensor that is not finite in ``dtype``, or a full disk.
    """
    total, done = sum(plan.size(dtype) for plan in plans.values()), 0
    with new_folder(output, total) as folder:
        for name, plan in plans.items():
            with open(folder / f"{name}.safetensors", "wb") as file:
                for nbytes in write_safetensors(file, plan.order, dtype, _cast(plan, dtype)):
                    done += nbytes
                    if progress:
                        progress(done, total)
        finish(folder)
        (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")


def _cast(plan: NetworkPlan, dtype: torch.dtype) -> Iterator[Tensor]:
    """The tensors in the order of writing, in their expected shape and dtype."""
    for name, tensor in _tensors(plan):
        result = tensor.to(dtype).reshape(plan.expected[name])
        if not is_finite(result):
            where = plan.sources[name]
            raise InputError(
                where.file.path,
                f"{where.file.key(where.key)} holds NaN or values beyond {str(dtype).removeprefix('torch.')}",
                "Try --dtype float32; if it stays so, download the file again",
            )
        yield result


def _tensors(plan: NetworkPlan) -> Iterator[tuple[str, Tensor]]:
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
