"""Files as FFmpeg opens them: by their name alone, whatever characters are in it."""

from __future__ import annotations

import os
from typing import cast

import av
from av.container import InputContainer, OutputContainer


def open_input(path: str | os.PathLike[str], container: str | None = None) -> InputContainer:
    """A media file to read.

    Args:
        path: the file.
        container: FFmpeg's name of the format; None leaves it to the content.

    Raises:
        FFmpegError, OSError, ValueError: FFmpeg cannot open it.
    """
    # A name such as frame%03d.tga would stand for a series of pictures.
    return cast(InputContainer, av.open(address(path), format=container, options={"pattern_type": "none"}))


def open_output(path: str | os.PathLike[str], container: str, options: dict[str, str]) -> OutputContainer:
    """A media file to write.

    Args:
        path: replaced if it is there.
        container: FFmpeg's name of the format.
        options: of the format.

    Raises:
        FFmpegError, OSError: FFmpeg cannot open it.
    """
    return av.open(address(path), "w", format=container, container_options=options)


def address(path: str | os.PathLike[str]) -> str:
    """Address of a file for FFmpeg: without its protocol ``take:1.mp4`` would be 1.mp4 of ``take``."""
    return f"file:{os.fspath(path)}"
