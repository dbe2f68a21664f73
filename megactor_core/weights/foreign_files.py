"""Files that are saved under the name of weights and hold something else."""

from __future__ import annotations

import string
import zipfile
from pathlib import Path

from ..errors import InputError

_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<error")
_KINDS = (
    (
        b"version https://git-lfs.github.com",
        "is a pointer of Git LFS; the weights themselves were not fetched",
    ),
    (b"GGUF", "is a GGUF file, whose quantised weights are not read here"),
    (b"\x89HDF", "is an HDF5 file of Keras"),
    (b"\x93NUMPY", "is a NumPy array"),
    (b"\x1f\x8b", "is compressed (gzip)"),
    (b"7z\xbc\xaf", "is compressed (7z)"),
    (b"Rar!", "is compressed (RAR)"),
)
_REMEDIES = {
    b"version https://git-lfs.github.com": "Run git lfs pull, or download the file from its page",
    b"GGUF": "Use the .safetensors of the same model",
    b"\x1f\x8b": "Unpack it",
    b"7z\xbc\xaf": "Unpack it",
    b"Rar!": "Unpack it",
}
NO_WEIGHTS = "Give a .safetensors or .ckpt file of a model"


def refuse_foreign(path: Path, start: bytes) -> None:
    """Name what a file is that holds no tensors.

    Args:
        path: the file.
        start: its first 64 bytes or more.

    Raises:
        InputError: an error page, a pointer of Git LFS, an archive, a format of another program.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PAGES):
        problem = "is a web page and no weights: an error was saved in the file's place"
        raise InputError(path, problem, "Download it again, logged in where the model asks for it")
    for magic, problem in _KINDS:
        if start.startswith(magic):
            raise InputError(path, problem, _REMEDIES.get(magic, NO_WEIGHTS))
    if start.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path):
        _refuse_archive(path)
    if words := _readable(start):
        raise InputError(path, f"is not a file of weights but text: {words!r}", NO_WEIGHTS)


def _readable(start: bytes) -> str:
    """The beginning of a text; empty for other content."""
    try:
        text = start.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return "" if set(text) - set(string.printable) else " ".join(text.split())[:60]


def _refuse_archive(path: Path) -> None:
    """An archive of ``torch.save`` holds ``data.pkl`` and tensors, none of them compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(path, "is damaged or truncated", "Download it again") from error
    names = {entry.filename.rpartition("/")[2] for entry in entries}
    if "data.pkl" not in names:
        raise InputError(
            path, "is an archive without weights of torch.save", f"Unpack it; {NO_WEIGHTS.lower()}"
        )
    if "constants.pkl" in names:
        raise InputError(path, "is a TorchScript program and no file of weights", NO_WEIGHTS)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InputError(
            path, "was compressed after torch.save wrote it", "Get a copy from its original source"
        )
