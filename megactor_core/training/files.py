"""Files of a run: each appears whole or not at all, and one run at a time writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file of contiguous tensors; makes the folder.

    Raises:
        InputError: it cannot be written (full disk, say); nothing is left, an earlier file stays.
    """
    with _replacing(path) as partial:
        save_file(dict(tensors), partial, metadata)


def write_text(path: Path, text: str) -> None:
    """A text file in UTF-8; see ``write_tensors``."""
    with _replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Inside, no other training writes into ``folder``; the lock goes with the process, however it ends.

    Raises:
        InputError: another training does; or the folder cannot be written.
    """
    with refused_writes(folder, "it"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                folder, "another training is writing into it", "Wait for its end, or give another --output"
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def refused_writes(path: Path, what: str) -> Iterator[None]:
    """Inside, a write that fails is an ``InputError`` about ``path``.

    safetensors reports a full disk as an error of its own.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(
            path, f"{what} cannot be written: {error}",
            "Free space; the same command goes on from the last checkpoint",
        ) from error  # fmt: skip


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    with refused_writes(path, "it"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
