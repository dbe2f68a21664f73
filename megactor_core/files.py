"""Output files and folders: checked before any work, written under temporary names, then renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from .errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, a user's share of it, and a file larger than the disk can hold."""

_TEMPORARY = re.compile(r"\..{0,20}\.[0-9a-f]{8}(\..*)?")


def check_output(
    path: str | os.PathLike[str],
    suffixes: Iterable[str],
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Make sure that a file can be written, so that no work is done in vain.

    Args:
        path: the file to be written later.
        suffixes: the file name endings that can be written, in lower case, with their dot.
        overwrite: whether an existing file may be replaced.
        inputs: files that are read by the same job; they are never replaced, whatever ``overwrite`` says.

    Returns:
        The path.

    Raises:
        InputError: another suffix; a missing or unwritable folder; an existing file, folder or input; a name
            longer than the file system allows.
    """
    path = Path(path)
    suffixes = tuple(suffixes)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise write_error(path, error) from error
    if path.suffix.lower() not in suffixes:
        raise InputError(path, "cannot be written in this format", f"End the name in {', '.join(suffixes)}")
    if path.is_dir():
        raise InputError(path, "is a folder", "Give the name of a file in it")
    if path.exists():
        if any(os.path.exists(other) and os.path.samefile(path, other) for other in inputs):
            raise InputError(path, "is an input of the same job", "Choose another name for the output")
        if not overwrite:
            raise _exists(path)
    if not path.parent.is_dir():
        raise InputError(path, "its folder does not exist", f"Create {path.parent}, or choose another folder")
    temporary = temporary_name(path)
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise write_error(path, error) from error
    return path


def check_output_folder(output: Path, marker: str, overwrite: bool) -> None:
    """Make sure that a folder can be made or replaced.

    Args:
        output: the folder.
        marker: name of a file that only such folders have; any other folder is never replaced.
        overwrite: whether an existing one may be replaced.

    Raises:
        InputError: it exists.
    """
    if not output.exists():
        return
    if not overwrite:
        raise InputError(output, "exists", "Choose another folder or give --overwrite")
    if not output.is_dir() or (any(output.iterdir()) and not (output / marker).is_file()):
        raise InputError(output, "is not a model folder, so it is not replaced", "Choose another folder")


@contextmanager
def new_file(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path``, which becomes ``path`` when the block ends well.

    On any exception, KeyboardInterrupt included, the temporary file is removed and ``path`` is untouched.

    Raises:
        InputError: ``path`` has come into being meanwhile and ``overwrite`` is false; a failed write (full
            disk, unwritable folder) inside the block; another file that cannot be read in it.
    """
    temporary = temporary_name(path)
    try:
        with _writes(path, temporary):
            yield temporary
            if path.exists() and not overwrite:
                raise _exists(path)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(output: Path, size: int = 0, flushed: bool = False) -> Iterator[Path]:
    """A folder beside ``output`` that becomes ``output``, and replaces it, when the block ends well.

    On any exception the temporary folder is removed and ``output`` is untouched.

    Args:
        output: the folder to make or replace; the folder it is in is made where it is missing.
        size: bytes that will be written; they are refused at once where the disk has no room for them.
        flushed: whether the files are on the disk before the folder has its name, as what must outlive a loss
            of power needs.

    Raises:
        InputError: see ``new_file``; or too little room.
    """
    temporary = temporary_name(output)
    try:
        with _writes(output, temporary):
            output.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(output.parent).free
            if free < size:
                problem = f"needs {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
                raise InputError(output, problem, "Make room")
            temporary.mkdir()
            yield temporary
            if flushed:
                for file in temporary.iterdir():
                    _flush(file)
            if output.exists():
                aside = temporary_name(output)
                os.rename(output, aside)
                os.rename(temporary, output)
                shutil.rmtree(aside)
            else:
                os.rename(temporary, output)
            if flushed:
                _flush(output.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; makes its folder, replaces an earlier file.

    Raises:
        InputError: it cannot be written (full disk, say).
    """
    with refused_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def refused_writes(path: Path, remedy: str = "") -> Iterator[None]:
    """Inside, a write that fails is an ``InputError`` about ``path``; see ``write_error``."""
    with _writes(path, None, remedy):
        yield


@contextmanager
def _writes(path: Path, temporary: Path | None, remedy: str = "") -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # no file is a pipe: nobody reads the progress any more
    except OSError as error:
        other = error.filename
        if temporary is not None and other is not None and not _is_within(other, temporary, path):
            raise InputError(other, f"cannot be used ({_reason(error)})", "Check it") from error
        raise write_error(path, error, remedy) from error
    except SafetensorError as error:  # how safetensors reports a full disk
        raise write_error(path, error, remedy) from error


def _is_within(name: str, *paths: Path) -> bool:
    return any(Path(name).is_relative_to(path) for path in paths)


def _exists(path: Path) -> InputError:
    return InputError(path, "exists already", "Choose another name, or allow overwriting (--overwrite)")


def write_error(path: Path, error: Exception, remedy: str = "") -> InputError:
    """The error to show for a failed write.

    Args:
        path: what should have been written.
        error: the system's, FFmpeg's or safetensors'.
        remedy: what to do; by default to free space or to choose another place.
    """
    full = getattr(error, "errno", None) in _FULL
    usual = "Free some space or choose another folder" if full else "Choose another name or folder"
    return InputError(path, f"cannot be written ({_reason(error)})", remedy or usual)


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` for what is not complete yet, no longer than any file system allows."""
    # Names are counted in bytes, of which a character may have four. The suffix stays, since it tells the
    # writing library the format.
    return path.with_name(f".{path.stem[:20]}.{secrets.token_hex(4)}{path.suffix}")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def is_leftover(path: Path) -> bool:
    """Whether a name is one of ``temporary_name``: what a writer that was killed has left."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _flush(path: Path) -> None:
    """Ask the system to put a file or folder on the disk, so that a rename never precedes its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
