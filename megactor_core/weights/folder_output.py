"""Folders of weights that appear whole."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


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
