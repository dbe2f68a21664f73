"""Step ``swap``: the same clip with another face."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...media.pictures import load_picture, save_picture
from ..clip_file import ClipFile, encode_clip
from ..clip_list import identity_of
from ..parts import five_points
from ..settings import Kept, SwapSettings
from ..shards import CLIP, SWAPPED, BrokenSample, Entry, Shard, find_shards, name_bytes, open_shard
from .disguise import Disguise


class SwapFailed(Exception):
    """A clip could not be given another face; the text says why."""


class Swapper(Protocol):
    """Protocol of a face swapper.

    ``swap`` takes the clip and another person's clip and returns an MP4 with as many frames of the same size;
    it raises ``SwapFailed``.
    """

    def swap(self, clip: Entry, donor: Entry | None, rng: np.random.Generator) -> bytes: ...


class FaceSwap:
    """Adds ``swapped.mp4``; where that fails the clip goes on without, and is counted.

    Args:
        settings: which program, which faces.
        shard: other persons' clips are taken from here, or from the shards after it in the same folder.
    """

    def __init__(self, settings: SwapSettings, shard: Shard) -> None:
        self._settings = settings
        self._clips = _clips_of_several(shard)
        self._swapper: Swapper = DisguiseSwapper() if settings.program is None else ProgramSwapper(settings)

    def __call__(self, clip: Entry) -> Kept:
        """Swap the face with one that the seed and the clip's name decide."""
        rng = np.random.default_rng([self._settings.seed, *name_bytes(clip.key)])
        person = identity_of(clip)
        others = [entry for entry, other in self._clips if other != person]
        donor = others[rng.integers(len(others))] if others else None
        if donor is None and self._settings.faces is None:
            return Kept(clip.sample(), "no other person in the shards")
        try:
            swapped = self._swapper.swap(clip, donor, rng)
        except SwapFailed as error:
            return Kept(clip.sample(), "swap failed", str(error))
        return Kept({**clip.sample(), SWAPPED: swapped})


class DisguiseSwapper:
    """The built-in swap; see ``disguise``."""

    def swap(self, clip: Entry, donor: Entry | None, rng: np.random.Generator) -> bytes:
        """See ``Swapper``."""
        assert donor is not None
        try:
            donor_points, picture, number = five_points(donor), *_random_frame(donor, rng)
        except BrokenSample as error:
            raise SwapFailed(f"the other person's clip {donor.key}: {error}") from error
        points = five_points(clip)
        with ClipFile(clip.read(CLIP)) as reader:
            if len(points) != reader.num_frames or number >= len(donor_points):
                raise SwapFailed("the faces are of another clip")
            disguise = Disguise(points, reader.read([0])[0], 0, picture, donor_points[number])
            changed = (disguise(image, index) for index, image in enumerate(reader.frames()))
            return encode_clip(changed, reader.size, reader.frame_rate)


class ProgramSwapper:
    """Calls a face-swap program for each clip, without a shell."""

    def __init__(self, settings: SwapSettings) -> None:
        self._settings = settings

    def swap(self, clip: Entry, donor: Entry | None, rng: np.random.Generator) -> bytes:
        """See ``Swapper``."""
        with TemporaryDirectory(prefix="megactor-") as folder:
            source, target, output = (Path(folder) / name for name in ("face.png", "clip.mp4", "swapped.mp4"))
            save_picture(source, self._face(donor, rng))
            target.write_bytes(clip.read(CLIP))
            self._run({"{source}": source, "{target}": target, "{output}": output})
            if not output.is_file():
                raise SwapFailed("the program wrote no {output}")
            return _checked(output.read_bytes(), clip)

    def _face(self, donor: Entry | None, rng: np.random.Generator) -> NDArray[np.uint8]:
        if self._settings.faces is not None:
            portraits = self._settings.portraits()
            return load_picture(portraits[rng.integers(len(portraits))])
        assert donor is not None
        try:
            return _random_frame(donor, rng)[0]
        except BrokenSample as error:
            raise SwapFailed(f"the other person's clip {donor.key}: {error}") from error

    def _run(self, files: dict[str, Path]) -> None:
        arguments = self._settings.arguments
        for placeholder, path in files.items():
            arguments = [argument.replace(placeholder, str(path)) for argument in arguments]
        try:
            done = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._settings.timeout
            )
        except subprocess.TimeoutExpired as error:
            raise SwapFailed(f"the program took longer than {error.timeout:.0f} s") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise SwapFailed(f"exit status {done.returncode}: {lines[-1] if lines else 'no message'}")


def _clips_of_several(shard: Shard) -> list[tuple[Entry, str]]:
    """Clips with their persons: of this shard, and of the next ones where it shows a single person."""
    paths = find_shards([shard.path.parent])
    at = paths.index(shard.path)
    clips: list[tuple[Entry, str]] = []
    for path in (*paths[at:], *paths[:at]):
        clips += [(entry, identity_of(entry)) for entry in open_shard(path).entries if CLIP in entry.members]
        if len({person for _, person in clips}) > 1:
            break
    return clips


def _random_frame(clip: Entry, rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
    """A picture of the person, and its number in the clip."""
    with ClipFile(clip.read(CLIP)) as reader:
        number = int(rng.integers(reader.num_frames))
        return reader.read([number])[0], number


def _checked(swapped: bytes, clip: Entry) -> bytes:
    """The swapped clip encoded as all clips are, if it has the frames of the original."""
    try:
        with ClipFile(clip.read(CLIP)) as original, ClipFile(swapped) as reader:
            wanted, found = ((r.num_frames, *r.size) for r in (original, reader))
            if wanted != found:
                raise SwapFailed(f"its output has (frames, height, width) {found} instead of {wanted}")
            frames: Iterator[NDArray[np.uint8]] = reader.frames()
            return encode_clip(frames, original.size, original.frame_rate)
    except BrokenSample as error:
        raise SwapFailed(f"its output cannot be read: {error}") from error
