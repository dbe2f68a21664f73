"""Output files: checked before any work, written under a temporary name, renamed when complete."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, a user's share of it, and a file larger than the disk can hold."""


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


@contextmanager
def temporary_output(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path``, which becomes ``path`` when the block ends well.

    On any exception, KeyboardInterrupt included, the temporary file is removed and ``path`` is untouched.

    Raises:
        InputError: ``path`` has come into being meanwhile and ``overwrite`` is false; a failed write (full
            disk, unwritable folder) inside the block; another file that cannot be read in it.
    """
    temporary = temporary_name(path)
    try:
        yield temporary
        if path.exists() and not overwrite:
            raise _exists(path)
        os.replace(temporary, path)
    except (InputError, BrokenPipeError):
        raise  # no file is a pipe: nobody reads the progress any more
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise InputError(error.filename, f"cannot be used ({_reason(error)})", "Check it") from error
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _exists(path: Path) -> InputError:
    return InputError(path, "exists already", "Choose another name, or allow overwriting (--overwrite)")


def write_error(path: Path, error: Exception) -> InputError:
    """The error to show for a failed write to ``path``; ``error`` is the system's or FFmpeg's."""
    full = getattr(error, "errno", None) in _FULL
    remedy = "Free some space or choose another folder" if full else "Choose another name or folder"
    return InputError(path, f"cannot be written ({_reason(error)})", remedy)


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` for what is not complete yet, no longer than any file system allows."""
    # Names are counted in bytes, of which a character may have four. The suffix stays, since it tells the
    # writing library the format.
    return path.with_name(f".{path.stem[:20]}.{secrets.token_hex(4)}{path.suffix}")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
