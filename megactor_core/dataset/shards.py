"""WebDataset shards: tar files of samples, read by position, written whole."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import new_file

CLIP, SWAPPED, STYLED = "mp4", "swapped.mp4", "mp4_styled"
"""The clip, and the same frames with another face or in another style; all three are MP4 files."""
FACES, BACKGROUND, GAZE, METADATA = "faces.json", "background.png", "gaze.json", "json"
SYNC = "sync.json"

Sample = Mapping[str, bytes]
"""Parts of one sample by their name: what follows the first dot of the file's name in the tar."""


def name_bytes(name: str) -> bytes:
    """A name as bytes, for checksums and seeds; a file's name need not be text."""
    return name.encode(errors="surrogatepass")


class BrokenSample(Exception):
    """One sample cannot be used; the text says why."""


@dataclass(frozen=True, eq=False)
class Entry:
    """Index entry of one sample in its shard.

    Attributes:
        shard: the tar file.
        key: what the names of its parts begin with.
        members: first byte and length of each part.
    """

    shard: Path
    key: str
    members: Mapping[str, tuple[int, int]]

    def read(self, part: str) -> bytes:
        """One part.

        Raises:
            BrokenSample: there is no such part, or the file has become shorter.
        """
        if part not in self.members:
            raise BrokenSample(f"part {part} is missing")
        offset, size = self.members[part]
        with self.shard.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise BrokenSample("the shard is cut off")
        return data

    def read_json(self, part: str) -> Any:
        """One part that holds JSON.

        Raises:
            BrokenSample: see ``read``; the part is not JSON.
        """
        try:
            return json.loads(self.read(part))
        except ValueError as error:
            raise BrokenSample(f"part {part} is not JSON") from error

    def sample(self) -> dict[str, bytes]:
        """All parts."""
        return {part: self.read(part) for part in self.members}


@dataclass(frozen=True, eq=False)
class Shard:
    """One tar file's table of contents.

    Attributes:
        path: the tar file.
        entries: its samples, in their order.
        damage: what is wrong with the file, empty where nothing is. The sample at the break is left out.
    """

    path: Path
    entries: tuple[Entry, ...]
    damage: str = ""


def open_shard(path: Path) -> Shard:
    """Read the table of contents; nothing of a damaged file but what lies before the damage.

    Raises:
        InputError: the file cannot be read at all.
    """
    members: dict[str, dict[str, tuple[int, int]]] = {}
    damage, key = "", ""
    try:
        end = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, dot, part = name.partition(".")
                if not member.isfile() or not dot or not stem:
                    continue
                key = folder + slash + stem
                members.setdefault(key, {})[part] = (member.offset_data, member.size)
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError
    except tarfile.TarError:
        damage = f"is no tar file, or is cut off after {max(0, len(members) - 1)} samples"
        members.pop(key, None)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check the path") from error
    return Shard(path, tuple(Entry(path, key, parts) for key, parts in members.items()), damage)


def find_shards(paths: Iterable[Path]) -> list[Path]:
    """Tar files, and those in folders, sorted within each.

    Raises:
        InputError: a path that does not exist, or a folder without shards.
    """
    shards: list[Path] = []
    for path in paths:
        # A name that begins with a dot is a file that was being written when its writer was killed.
        found = sorted(tar for tar in path.glob("*.tar") if tar.name[0] != ".") if path.is_dir() else [path]
        if not path.exists():
            raise InputError(path, "there is no such folder or shard", "Check the path")
        if not found:
            raise InputError(path, "holds no shards (.tar)", "Make them with: dataset pack")
        shards += found
    return shards


class ShardWriter:
    """Appends samples to a tar file; made by ``write_shard``."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def write(self, key: str, sample: Sample) -> None:
        """Append one sample; the same samples give the same bytes."""
        for part, data in sample.items():
            member = tarfile.TarInfo(f"{key}.{part}")
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))


@contextmanager
def write_shard(path: Path) -> Iterator[ShardWriter]:
    """A new shard, which appears under its name when the block ends well, in place of an older one.

    Raises:
        InputError: the file cannot be written.
    """
    with new_file(path, overwrite=True) as temporary, tarfile.open(temporary, "w") as tar:
        yield ShardWriter(tar)
