"""Checkpoints: safetensors and JSON in a folder that appears at once, the last few kept."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import InputError
from ...files import new_folder

_PREFIX = "step_"

Check = Callable[[Path, Mapping[str, Any]], None]

GOES_ON = "Free space; the same command goes on from the last checkpoint"
"""What to do where a run could not write."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a run at one step.

    Attributes:
        step: optimizer steps done.
        tensors: groups of named tensors (``networks``, ``optimizer``, ``ema``); one file each.
        state: JSON-ready rest.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


class CheckpointFolder:
    """The checkpoints of one run, in ``folder/step_00001000``."""

    def __init__(self, folder: Path, kept: int, warn: Callable[[str], None]) -> None:
        self.folder, self.kept, self.warn = folder, kept, warn

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob(_PREFIX + "*") if p.is_dir())

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write under a temporary name and rename; then remove what is older than the last ``kept``.

        Raises:
            InputError: it cannot be written (full disk, say); earlier checkpoints are untouched.
        """
        target = self.folder / f"{_PREFIX}{checkpoint.step:08d}"
        self._remove_leftovers()
        try:
            with new_folder(target, flushed=True) as made:
                sums = {}
                for group, tensors in checkpoint.tensors.items():
                    file = made / f"{group}.safetensors"
                    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, file)
                    sums[file.name] = _checksum(file)
                state = {"step": checkpoint.step, "files": sums, **checkpoint.state}
                (made / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        except InputError as error:
            problem = f"the checkpoint of step {checkpoint.step} cannot be written: {error.__cause__}"
            raise InputError(self.folder, problem, GOES_ON) from error
        for old in self.paths()[: -self.kept]:
            shutil.rmtree(old)
        return target

    def at(self, step: int, check: Check) -> Checkpoint:
        """The checkpoint of a step; ``check`` as in ``latest``.

        Raises:
            InputError: it is not kept, or damaged.
        """
        path = self.folder / f"{_PREFIX}{step:08d}"
        found = self._newest([path] if path.is_dir() else [], check)
        if found is None:
            kept = ", ".join(str(int(other.name.removeprefix(_PREFIX))) for other in self.paths())
            raise InputError(
                self.folder,
                f"has no checkpoint of step {step} that can be read",
                f"Those of steps {kept} are kept" if kept else "Train first",
            )
        return found

    def latest(self, check: Check) -> Checkpoint | None:
        """The newest checkpoint that can be read; damaged ones are skipped with a word.

        Args:
            check: is shown path and state before the tensors are read, and raises if they belong to another
                run.
        """
        return self._newest(self.paths(), check)

    def _newest(self, paths: Sequence[Path], check: Check) -> Checkpoint | None:
        for path in reversed(paths):
            try:
                state = json.loads((path / "state.json").read_text(encoding="utf-8"))
                step, files = state.pop("step"), state.pop("files")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._skip(path, error)
                continue
            check(path, state)
            try:
                return Checkpoint(
                    step, {_group(name): _read(path / name, files[name]) for name in files}, state
                )
            except (OSError, ValueError, SafetensorError) as error:
                self._skip(path, error)
        return None

    def _skip(self, path: Path, error: Exception) -> None:
        self.warn(f"{path} is damaged ({error}); trying the one before")

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left half-written, which would fill the disk."""
        for leftover in self.folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _group(file_name: str) -> str:
    return file_name.removesuffix(".safetensors")


def _read(path: Path, expected: int) -> Mapping[str, Tensor]:
    if _checksum(path) != expected:
        raise ValueError(f"{path.name} is not as it was written")
    return load_file(path)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
