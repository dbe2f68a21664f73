"""Finds the real clips of a folder: video files, and clips in WebDataset shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ...dataset.clip_list import identity_of
from ...dataset.shards import CLIP, BrokenSample, Entry, open_shard
from ...errors import InputError
from ...media.pictures import load_picture
from ...media.reading import VIDEO_SUFFIXES, open_driving
from ...media.source import DrivingSource, pictures_source
from ...weights.download import file_sha256

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")


@dataclass(frozen=True)
class VideoClip:
    """One clip of a folder, not yet looked at.

    Attributes:
        name: its path in the folder; in a shard, with its key behind a ``/``.
        identity: who it shows, as far as it is known: what its metadata say, else the name.
        path: the video file, or the shard.
        entry: where it lies in the shard.
    """

    name: str
    identity: str
    path: Path = field(repr=False)
    entry: Entry | None = field(default=None, repr=False)

    def sha256(self) -> str:
        """Hexadecimal digest of the video.

        Raises:
            BrokenSample: the shard has become shorter.
        """
        if self.entry is None:
            return file_sha256(self.path)
        return hashlib.sha256(self.entry.read(CLIP)).hexdigest()

    @contextmanager
    def opened(self) -> Iterator[DrivingSource]:
        """All frames of the clip, within the block; those of a shard lie in a temporary file meanwhile.

        Raises:
            InputError: the clip cannot be read.
        """
        if self.entry is None:
            yield open_driving(self.path)
            return
        with TemporaryDirectory(prefix="megactor-") as folder:
            file = Path(folder) / "clip.mp4"
            try:
                file.write_bytes(self.entry.read(CLIP))
            except BrokenSample as error:
                raise InputError(self.name, str(error), "Make the shard again") from error
            yield open_driving(file)


@dataclass(frozen=True)
class RejectedClip:
    """A clip, portrait or shard that is not part of the result, and why."""

    name: str
    reason: str


def find_clips(folder: Path) -> tuple[list[VideoClip], list[RejectedClip]]:
    """Clips of a folder and the folders in it, sorted by name; and shards that are damaged.

    Raises:
        InputError: no such folder, or neither a video nor a clip of a shard in it.
    """
    clips: list[VideoClip] = []
    rejected: list[RejectedClip] = []
    for path in _files(folder, (*VIDEO_SUFFIXES, ".gif", ".tar")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() != ".tar":
            clips.append(VideoClip(name, name, path))
            continue
        shard = open_shard(path)
        if shard.damage:
            rejected.append(RejectedClip(name, shard.damage))
        for entry in shard.entries:
            if CLIP in entry.members:
                clips.append(VideoClip(f"{name}/{entry.key}", identity_of(entry), path, entry))
    if not clips:
        reason = f" ({rejected[0].name} {rejected[0].reason})" if rejected else ""
        remedy = "Give a folder of videos or of shards"
        raise InputError(folder, f"holds no video and no clip in a shard{reason}", remedy)
    return clips, rejected


def find_portraits(folder: Path) -> list[Path]:
    """Pictures of a folder and the folders in it, sorted by name.

    Raises:
        InputError: no such folder, or no picture in it.
    """
    pictures = _files(folder, PICTURE_SUFFIXES)
    if not pictures:
        raise InputError(folder, "holds no picture", f"Give a folder of {', '.join(PICTURE_SUFFIXES)}")
    return pictures


def check_length(source: DrivingSource, frames: int, stride: int) -> int:
    """Frames of a clip that are needed to take ``frames``, each ``stride`` after the one before.

    Raises:
        InputError: the clip has fewer.
    """
    needed = (frames - 1) * stride + 1
    if source.num_frames < needed:
        problem = f"is too short: {source.num_frames} frames, needed are {needed}"
        raise InputError(source.name, problem, "Ask for fewer --frames, or a smaller --stride")
    return needed


def choose_frames(source: DrivingSource, frames: int, stride: int) -> DrivingSource:
    """Every ``stride``-th frame from the first one on, ``frames`` in all.

    With a stride above 1 the frames are held in memory and have no sound.

    Raises:
        InputError: the clip is too short.
    """
    part = source.part(0, check_length(source, frames, stride))
    if stride == 1:
        return part
    chosen = [image for index, (_, _, image) in enumerate(part.frames()) if index % stride == 0]
    times = part.frame_times.every(stride)
    return replace(pictures_source(chosen, times.frame_rate), frame_times=times)


def first_picture(clip: VideoClip) -> NDArray[np.uint8]:
    """The first frame of a clip, uint8 RGB (H, W, 3).

    Raises:
        InputError: the clip cannot be read.
    """
    with clip.opened() as source:
        return next(image for _, _, image in source.frames(0, 1))


def readable_portraits(paths: Iterable[Path]) -> tuple[list[Path], list[RejectedClip]]:
    """Pictures that can be read, and the others."""
    readable: list[Path] = []
    rejected: list[RejectedClip] = []
    for path in paths:
        try:
            load_picture(path)
        except InputError as error:
            rejected.append(RejectedClip(path.name, error.problem))
        else:
            readable.append(path)
    return readable, rejected


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder", "Check the path")
    # A name that begins with a dot is a file that was being written when its writer was killed.
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.name[0] != ".")
    return sorted(path for path in found if path.is_file())
