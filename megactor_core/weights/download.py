"""Fetch the files of the catalogue: resumable, checked, never half-written; a local file always wins."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from ..families.family import KnownFile
from .catalogue import find_known
from .folders import models_folder

WEIGHT_SUFFIXES = (".safetensors", ".bin")
STAGING = ".incomplete"

OnBytes = Callable[[int, int], None]
"""Called with the bytes of a file that are here and its size in bytes; raise in it to stop, and a later call
goes on from there."""


def local_path(known: KnownFile, folder: str | os.PathLike[str] | None = None) -> Path:
    """Local path of a file, whether or not it is there."""
    return models_folder(folder) / known.file


def is_present(known: KnownFile, folder: str | os.PathLike[str] | None = None) -> bool:
    """Whether the file is there; a folder counts once it has its configuration and a weight file."""
    path = local_path(known, folder)
    if not known.is_folder:
        return path.is_file()
    return (path / "config.json").is_file() and any(p.suffix in WEIGHT_SUFFIXES for p in path.iterdir())


def fetch(name: str, folder: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Local paths of a row or of a family's required rows, downloading what is missing.

    Args:
        name: name of a row or of a family.
        folder: models folder; see ``models_folder``.

    An interrupted download is resumed by the next call. The hub's settings apply: ``HF_ENDPOINT``,
    ``HF_HUB_OFFLINE``, token.

    Raises:
        InputError: unknown name, no connection, or a file of the wrong size or digest.
    """
    return tuple(fetch_file(known, folder) for known in find_known(name))


def fetch_file(
    known: KnownFile, folder: str | os.PathLike[str] | None = None, on_progress: OnBytes | None = None
) -> Path:
    """Local path of one row, downloading it if it is missing; raises ``InputError`` as ``fetch`` does."""
    target = local_path(known, folder)
    if not is_present(known, folder):
        rows = _ask_hub(known, target) if known.repository and known.sha256 is None else (known,)
        for row in rows:
            if not local_path(row, folder).is_file():
                _download(row, models_folder(folder), on_progress)
    return target


def check_file(path: Path, size: int | None, sha256: str | None) -> str | None:
    """The problem of a file's size or digest, or None; unknown values are not checked."""
    actual_size = path.stat().st_size
    if size is not None and actual_size != size:
        return f"has {actual_size:,} bytes instead of {size:,}"
    if sha256 is not None and (digest := file_sha256(path)) != sha256:
        return f"has sha256 {digest} instead of {sha256}"
    return None


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _ask_hub(known: KnownFile, target: Path) -> tuple[KnownFile, ...]:
    """Rows with the sizes and digests that the hub announces; a folder becomes its files, largest first."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    assert known.repository is not None
    wanted = PurePosixPath(known.path)
    parent = wanted if known.is_folder else wanted.parent
    try:
        listed = list(HfApi().list_repo_tree(known.repository, str(parent), revision=known.revision))
    except Exception as error:  # the hub's HTTP library, and so its errors, differ between versions
        raise _unreachable(known, target, error) from error
    files = [entry for entry in listed if isinstance(entry, RepoFile)]
    if known.is_folder:
        has_safetensors = any(entry.path.endswith(".safetensors") for entry in files)
        suffixes = (".safetensors",) if has_safetensors else WEIGHT_SUFFIXES
        files = [e for e in files if e.path.endswith(suffixes) or PurePosixPath(e.path).name == "config.json"]
    else:
        files = [entry for entry in files if entry.path == known.path]
    if not files:
        raise InputError(known.address, "holds no such weights", f"Put the file at {target} yourself")
    return tuple(
        dataclasses.replace(
            known,
            file=f"{known.file}{PurePosixPath(entry.path).name}" if known.is_folder else known.file,
            path=entry.path,
            size=entry.size,
            sha256=entry.lfs.sha256 if entry.lfs else None,
        )
        for entry in sorted(files, key=lambda entry: -entry.size)  # a folder is complete with its config.json
    )


def _download(known: KnownFile, folder: Path, on_progress: OnBytes | None) -> None:
    target = folder / known.file
    staging = folder / STAGING / known.name
    staged = staging / PurePosixPath(known.file).name
    try:
        staging.mkdir(parents=True, exist_ok=True)
        _stream(known, staged, on_progress)
    except Exception as error:  # the hub's HTTP library, and so its errors, differ between versions
        raise _unreachable(known, target, error) from error
    wrong = check_file(staged, known.size, known.sha256)
    if wrong:
        shutil.rmtree(staging)
        raise InputError(
            known.address,
            f"the downloaded {target.name} {wrong}",
            f"Download it again; if that does not help, put a trusted copy at {target}",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)
    shutil.rmtree(staging)


def _stream(known: KnownFile, staged: Path, on_progress: OnBytes | None) -> None:
    """Append what is missing of the file to ``staged``."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    address, headers = known.path, {}
    if known.repository:
        address = hf_hub_url(known.repository, known.path, revision=known.revision)
        headers = build_hf_headers()
    with _StagedFile(staged, known.size, on_progress) as file:
        done = file.tell()
        if known.size is None or done < known.size:
            http_get(address, file, resume_size=done, headers=headers, displayed_filename=staged.name)


class _StagedFile(io.FileIO):
    """A file to append to that tells how much of it is there."""

    def __init__(self, path: Path, size: int | None, on_progress: OnBytes | None) -> None:
        super().__init__(path, "ab")
        self.expected_size = size
        self.on_progress = on_progress

    def write(self, data: Any) -> int:
        written = super().write(data)
        if self.on_progress is not None:
            self.on_progress(self.tell(), self.expected_size or self.tell())
        return written


def _unreachable(known: KnownFile, target: Path, error: Exception) -> InputError:
    size = f"{known.size:,} bytes" if known.size is not None else "size unknown"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return InputError(
        target.name or known.name,
        f"could not be downloaded from {known.address} ({size}): {reason}",
        f"Check the connection (HF_ENDPOINT sets a mirror), or put it at {target} yourself",
    )
