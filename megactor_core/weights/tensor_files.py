"""Read and write files of tensors one tensor at a time, so that memory does not grow with the file."""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import InputError
from .checkpoints import load_checkpoint, strided
from .foreign_files import NO_WEIGHTS, refuse_foreign
from .quantised import Stored, find_scales, restored
from .wrappers import unwrap

Shape = tuple[int, ...]

CHUNK_BYTES = 128 * 1024 * 1024
"""A mapped file is opened anew after this many bytes: pages once read stay in memory until it is closed."""

SAFETENSORS_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_TORCH_NAMES = {"I": "int", "U": "uint", "C": "complex"}


@dataclass(frozen=True)
class TensorFile:
    """Names and shapes of a file of tensors; the data stays on disk until it is streamed.

    Attributes:
        path: the file.
        shapes: shape of every tensor by its name, without what wraps the network; see ``wrappers.unwrap``.
        is_safetensors: whether it is a safetensors file; otherwise a checkpoint written by ``torch.save``.
        stored: by the same names, where in the file the numbers are.
        metadata: texts in the header of a safetensors file.
        choice: which of several copies of the weights was taken; empty where there is one.
    """

    path: Path
    shapes: Mapping[str, Shape]
    is_safetensors: bool
    stored: Mapping[str, Stored]
    metadata: Mapping[str, str] = field(default_factory=dict)
    choice: str = ""

    def key(self, name: str) -> str:
        """Key of a tensor in the file's state dict."""
        return re.sub(r"^(model_)?state_dict\.", "", self.stored[name].key)

    def renamed(self, name_of: Callable[[str], str | None]) -> TensorFile:
        """File with other names of its tensors; those for which there is none stay as they are."""
        names = {name_of(name) or name: name for name in self.shapes}
        return replace(
            self,
            shapes={new: self.shapes[old] for new, old in names.items()},
            stored={new: self.stored[old] for new, old in names.items()},
        )

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Tensors by name, in the given order, on the CPU and in the file's dtype.

        Those of 8 bits are float32, times their scale if they have one. A tensor is valid only until the next
        one is asked for: convert or copy it at once.

        Raises:
            InputError: a sparse tensor, or a scale that does not fit.
        """
        remaining = list(names)
        # What cannot be mapped is read whole, once.
        mapped = self.is_safetensors or zipfile.is_zipfile(self.path)
        while remaining:
            done, taken = 0, 0
            for name, tensor in self._read(remaining):
                yield name, tensor
                done += 1
                taken += tensor.numel() * tensor.element_size()
                del tensor
                if mapped and taken >= CHUNK_BYTES:
                    break
            remaining = remaining[done:]

    def _read(self, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        if self.is_safetensors:
            with safe_open(self.path, framework="pt") as tensors:
                for name in names:
                    yield name, self._restored(name, tensors.get_tensor)
        else:
            state = load_checkpoint(self.path)
            for name in names:
                yield name, self._restored(name, state.__getitem__)

    def _restored(self, name: str, get: Callable[[str], Tensor]) -> Tensor:
        stored = self.stored[name]
        tensor = strided(self.path, stored.key, get(stored.key))
        scale = None if stored.scale is None else get(stored.scale)
        return restored(self.path, stored.key, tensor, scale, stored.divisor)


def open_tensor_file(path: Path) -> TensorFile:
    """Look into a file of tensors, which is told by its content and not by its name.

    Raises:
        InputError: missing, empty, truncated or another kind of file, a pickle that runs code, or a number
            format that is not read here.
    """
    if os.path.isdir(path):
        raise InputError(path, "is a folder", "Give the file of weights in it")
    if not os.path.isfile(path):
        raise InputError(path, "there is no such file", "Check the path")
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check the path") from error
    if not start:
        raise InputError(path, "is empty", "Download or convert it again")
    refuse_foreign(path, start)
    if start[8:9] == b"{":
        return _open_safetensors(path)
    if not start.startswith((b"PK\x03\x04", b"\x80")):  # an archive or bare pickle of torch.save
        raise InputError(path, "is not a file of weights", NO_WEIGHTS)
    if path.suffix == ".safetensors":
        raise InputError(path, "is a pickle and not a safetensors file", "Convert the original weights")
    state = load_checkpoint(path)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    dtypes = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in state.items()}
    return _unwrapped(path, shapes, dtypes, False, {})


def _open_safetensors(path: Path) -> TensorFile:
    try:
        with safe_open(path, framework="pt") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            dtypes = {key: _torch_name(part.get_dtype()) for key, part in slices.items()}
            metadata = tensors.metadata() or {}
    except SafetensorError as error:
        problem = f"is damaged or truncated ({error})"
        raise InputError(path, problem, "Download or convert it again") from error
    if not shapes:
        raise InputError(path, "holds no weights", NO_WEIGHTS)
    return _unwrapped(path, shapes, dtypes, True, metadata)


def _unwrapped(
    path: Path,
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, str],
    is_safetensors: bool,
    metadata: Mapping[str, str],
) -> TensorFile:
    names, choice = unwrap(shapes)
    stored = find_scales(path, names, dtypes)
    own = {name: shapes[place.key] for name, place in stored.items()}
    return TensorFile(path, own, is_safetensors, stored, metadata, choice)


def write_safetensors(
    file: BinaryIO,
    shapes: Sequence[tuple[str, Shape]],
    dtype: torch.dtype,
    tensors: Iterable[Tensor],
    metadata: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Write a safetensors file, holding one tensor at a time; yields the bytes of each after it is written.

    Args:
        file: opened for binary writing.
        shapes: name and shape of every tensor, in the order of ``tensors``.
        dtype: dtype of all tensors: float32, float16 or bfloat16.
        tensors: the tensors, in that dtype and on the CPU.
        metadata: texts for the header.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    offset = 0
    for name, shape in shapes:
        end = offset + dtype.itemsize * torch.Size(shape).numel()
        header[name] = {
            "dtype": SAFETENSORS_DTYPES[dtype],
            "shape": list(shape),
            "data_offsets": [offset, end],
        }
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(struct.pack("<Q", len(encoded)) + encoded)
    for (name, shape), tensor in zip(shapes, tensors, strict=True):
        assert tensor.dtype == dtype and tuple(tensor.shape) == shape, name
        yield file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor is free of NaN and infinity, in one pass and without a mask as large as the tensor."""
    if not tensor.numel():
        return True
    smallest, largest = torch.aminmax(tensor)  # both are NaN if there is one anywhere
    return bool(smallest.isfinite() & largest.isfinite())


def _torch_name(dtype: str) -> str:
    """torch's name of a whole or complex number format of safetensors; others stay as they are."""
    return _TORCH_NAMES.get(dtype[0], dtype[0]) + dtype[1:]
