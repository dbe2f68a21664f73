"""Checkpoints written by ``torch.save``: their tensors by name, with no code run."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .foreign_files import NO_WEIGHTS

# What training loops write beside weights; none of them does anything when it is made.
_HARMLESS: list[Any] = [
    argparse.Namespace, type(Path()), np.dtype, np.float64(0).__reduce__()[0],
    *{type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")},
]  # fmt: skip
_DEEPEST = 8
"""State dicts lie no deeper in a checkpoint; what does may go in circles."""


def load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint on the CPU; of nested dicts by names with dots; a bare one as ``tensor``.

    Raises:
        InputError: damaged, empty, or with objects that are neither tensors nor plain values.
    """
    try:
        # only archives can be mapped; a checkpoint in the format before torch 1.6 is read whole
        mapped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if not _named(error):
            problem = "is a pickle that torch.save did not write"
            raise InputError(path, problem, NO_WEIGHTS) from error
        raise InputError(
            path,
            f"contains Python code besides weights{_named(error)}, which could do anything here, and was not "
            "opened",
            "Get a copy from its original source, best as .safetensors",
        ) from error
    except Exception as error:  # a broken pickle can end in any of them
        raise InputError(path, "is damaged or truncated", "Download it again") from error
    tensors = {"tensor": content} if isinstance(content, Tensor) else dict(_flat(content, "", _DEEPEST))
    if not tensors:
        raise InputError(path, "holds no weights by name", NO_WEIGHTS)
    return tensors


def strided(path: Path, name: str, tensor: Tensor) -> Tensor:
    """The tensor with one number per element.

    Raises:
        InputError: it is stored in another way, or not at all.
    """
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.layout != torch.strided or tensor.is_meta:
        kind = "nothing but a shape" if tensor.is_meta else "a sparse tensor"
        raise InputError(path, f"{name} is {kind}", "Save its numbers as an ordinary tensor")
    return tensor


def _named(error: pickle.UnpicklingError) -> str:
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({match[1]})" if match else ""


def _flat(content: Any, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(content, Mapping) or not depth:
        return
    for key, value in content.items():
        if not isinstance(key, str):  # an optimizer's numbered parameters
            continue
        if isinstance(value, Tensor) and not value.is_nested:
            yield prefix + key, value
        else:
            yield from _flat(value, f"{prefix}{key}.", depth - 1)
