"""Read and write files of tensors one tensor at a time, so that memory does not grow with the file."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import InputError

Shape = tuple[int, ...]

CHUNK_BYTES = 128 * 1024 * 1024
"""A mapped file is opened anew after this many bytes: pages once read stay in memory until it is closed."""

SAFETENSORS_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True)
class TensorFile:
    """Names and shapes of a file of tensors; the data stays on disk until it is streamed.

    Attributes:
        path: the file.
        shapes: shape of every tensor by its name in the file.
        is_safetensors: whether it is a safetensors file; otherwise a checkpoint written by ``torch.save``.
    """

    path: Path
    shapes: Mapping[str, Shape]
    is_safetensors: bool

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Tensors by name, in the given order, on the CPU and in the file's dtype.

        A tensor is valid only until the next one is asked for: convert or copy it at once.
        """
        remaining = list(names)
        # What cannot be mapped is read whole, once.
        mapped = self.is_safetensors or zipfile.is_zipfile(self.path)
        while remaining:
            done, taken = 0, 0
            for name, tensor in _read(self, remaining):
                yield name, tensor
                done += 1
                taken += tensor.numel() * tensor.element_size()
                del tensor
                if mapped and taken >= CHUNK_BYTES:
                    break
            remaining = remaining[done:]


def open_tensor_file(path: Path) -> TensorFile:
    """Look into a file of tensors, which is told by its content and not by its name.

    Raises:
        InputError: missing, empty, truncated or another kind of file, or a pickle that runs code.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "Check the path")
    with open(path, "rb") as file:
        start = file.read(9)
    if not start:
        raise InputError(path, "is empty", "Download or convert it again")
    try:
        if start[8:9] == b"{":
            with safe_open(path, framework="pt") as tensors:
                shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
            return TensorFile(path, shapes, is_safetensors=True)
    except SafetensorError as error:
        problem = f"is damaged or truncated ({error})"
        raise InputError(path, problem, "Download or convert it again") from error
    if not start.startswith((b"PK\x03\x04", b"\x80")):  # an archive or bare pickle of torch.save
        raise InputError(path, "is not a file of weights", "Give a .safetensors or .ckpt file of a model")
    if path.suffix == ".safetensors":
        raise InputError(path, "is a pickle and not a safetensors file", "Convert the original weights")
    state = _load_checkpoint(path)
    return TensorFile(
        path, {name: tuple(tensor.shape) for name, tensor in state.items()}, is_safetensors=False
    )


def write_safetensors(
    file: BinaryIO, shapes: Sequence[tuple[str, Shape]], dtype: torch.dtype, tensors: Iterable[Tensor]
) -> Iterator[int]:
    """Write a safetensors file, holding one tensor at a time; yields the bytes of each after it is written.

    Args:
        file: opened for binary writing.
        shapes: name and shape of every tensor, in the order of ``tensors``.
        dtype: dtype of all tensors: float32, float16 or bfloat16.
        tensors: the tensors, in that dtype and on the CPU.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
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
    smallest, largest = torch.aminmax(tensor)  # both are NaN if there is one anywhere
    return bool(smallest.isfinite() & largest.isfinite())


def _read(source: TensorFile, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    if source.is_safetensors:
        with safe_open(source.path, framework="pt") as tensors:
            for name in names:
                yield name, tensors.get_tensor(name)
    else:
        state = _load_checkpoint(source.path)
        for name in names:
            yield name, state[name]


def _load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint; those in a nested state dict if there is one; a bare one as ``tensor``."""
    try:
        # only archives can be mapped; a checkpoint in the format before torch 1.6 is read whole
        mapped = zipfile.is_zipfile(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise InputError(
            path,
            "contains Python code besides weights, which could do anything here, and was not opened",
            "Get a copy from its original source, best as .safetensors",
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(path, "is damaged or truncated", "Download it again") from error
    if isinstance(content, Tensor):
        return {"tensor": content}
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = (
        {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    )
    if not tensors:
        raise InputError(path, "holds no weights by name", "Give a .safetensors or .ckpt file of a model")
    return tensors
