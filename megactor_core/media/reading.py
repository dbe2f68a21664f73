"""The way in for driving files: a video, an animated GIF, WebP or PNG, or a single picture."""

from __future__ import annotations

import os

from .picture_source import open_picture_source
from .pictures import check_input
from .source import DrivingSource
from .video_source import open_video_source

__all__ = ["DrivingSource", "open_driving"]


def open_driving(path: str | os.PathLike[str]) -> DrivingSource:
    """Look through a driving file: exact number of frames, frame rate, size, sound.

    The content decides what it is, not the name. A single picture is a driver of one frame.

    Raises:
        InputError: missing, empty, truncated, too large or unknown file; no picture stream; no frames.
    """
    path = check_input(path)
    return open_picture_source(path) or open_video_source(path)
