"""The way in for driving files: a video, an animated GIF, WebP or PNG, or a single picture."""

from __future__ import annotations

import os

from .picture_source import open_picture_source
from .pictures import check_input
from .source import DrivingSource
from .video_source import open_video_source

__all__ = ["VIDEO_SUFFIXES", "DrivingSource", "open_driving"]

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv"),
    *(".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".mxf", ".ogv", ".mjpeg", ".h264", ".hevc"),
)
"""What the names of videos end in, by which they are found in folders; a file given by name may have any."""


def open_driving(path: str | os.PathLike[str]) -> DrivingSource:
    """Look through a driving file: exact number of frames, frame rate, size, sound.

    The content decides what it is, not the name. A single picture is a driver of one frame.

    Raises:
        InputError: missing, empty, truncated, too large or unknown file; no picture stream; no frames.
    """
    path = check_input(path)
    return open_picture_source(path) or open_video_source(path)
