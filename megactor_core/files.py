"""Output files: checked before any work, written under a temporary name, renamed when complete."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from .errors import InputError
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError



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


def check_output(output: Path, marker: str, overwrite: bool) -> None:
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
def temporary_folder(output: Path, size: int) -> Iterator[Path]:
    """A folder beside ``output`` that becomes it; nothing is left behind on failure.

    Args:
        output: the folder to make or replace.
        size: bytes that will be written.

    Raises:
        InputError: the disk is full, now or while writing.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(output.parent).free
        if free < size:
            raise InputError(
                output, f"needs {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free", "Make room"
            )
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise InputError(output, f"cannot be written ({error.strerror})", "Choose another folder") from error
    try:
        yield folder
        folder.chmod(0o755)
        if output.exists():
            aside = folder.with_name(folder.name + ".old")
            os.rename(output, aside)
            os.rename(folder, output)
            shutil.rmtree(aside)
        else:
            os.rename(folder, output)
    except OSError as error:
        remedy = "Make room on the disk" if error.errno == errno.ENOSPC else "Choose another folder"
        raise InputError(output, f"cannot be written ({error.strerror})", remedy) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
