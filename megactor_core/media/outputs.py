"""Output files: checked before any work, written under a temporary name, renamed when complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


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
        InputError: another suffix; a missing or unwritable folder; an existing file, folder or input.
    """
    path = Path(path)
    suffixes = tuple(suffixes)
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
    temporary = _temporary_name(path)
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise write_error(path, error) from error
    return path


@contextmanager
def temporary_output(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path``, which becomes ``path`` when the block ends well.

    On any exception, KeyboardInterrupt included, the temporary file is removed and ``path`` is untouched.

    Raises:
        InputError: ``path`` has come into being meanwhile and ``overwrite`` is false; a failed write (full
            disk, unwritable folder) inside the block.
    """
    temporary = _temporary_name(path)
    try:
        yield temporary
        if path.exists() and not overwrite:
            raise _exists(path)
        os.replace(temporary, path)
    except InputError:
        raise
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _exists(path: Path) -> InputError:
    return InputError(path, "exists already", "Choose another name, or allow overwriting (--overwrite)")


def write_error(path: Path, error: Exception) -> InputError:
    """The error to show for a failed write to ``path``; ``error`` is the system's or FFmpeg's."""
    reason = str(getattr(error, "strerror", None) or error).lower()
    return InputError(path, f"cannot be written ({reason})", "Free some space or choose another folder")


def _temporary_name(path: Path) -> Path:
    # The suffix stays, since it tells the writing library the format.
    return path.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}{path.suffix}")
