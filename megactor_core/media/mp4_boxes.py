"""Boxes of MP4 and MOV files (ISO/IEC 14496-12), to tell whether a file is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from av.container import InputContainer

from ..errors import InputError

CUT_OFF_FRAGMENTS = "the recording is cut off; what is there of it is used"
_AGAIN = "Save or download it again"


def check_whole(path: Path, container: InputContainer) -> str:
    """Make sure that no sample is missing; what comes after the last box, as cameras append it, is no matter.

    A recording in fragments counts as far as it goes, as in other formats for streaming.

    Args:
        path: the file.
        container: the same, opened; of any format.

    Returns:
        A note where the last fragment is not whole, else "".

    Raises:
        InputError: samples lie behind the file's end.
    """
    if "mp4" not in container.format.name:
        return ""
    length = path.stat().st_size
    boxes = list(_boxes(path))
    if any(kind == b"moof" for kind, _ in boxes):
        return CUT_OFF_FRAGMENTS if boxes[-1][1] > length else ""
    streams = (*container.streams.video, *container.streams.audio)
    if hasattr(streams[0], "index_entries"):
        missing = any(entry.pos + entry.size > length for stream in streams for entry in stream.index_entries)
    else:  # PyAV before 17: a recorder may have promised more than it wrote samples for
        missing = any(kind == b"mdat" and end > length for kind, end in boxes)
    if missing:
        raise InputError(path, "is cut off: its last part is missing", _AGAIN)
    return ""


def unreadable_mp4(path: Path) -> InputError | None:
    """The problem of a file that FFmpeg cannot open; None unless it begins like an MP4 or MOV file."""
    boxes = list(_boxes(path))
    kinds = {kind for kind, _ in boxes}
    if not kinds & {b"ftyp", b"mdat", b"moov"}:
        return None
    if b"moov" not in kinds:
        return InputError(path, "is cut off: its index, which comes last, is missing", _AGAIN)
    if boxes[-1][1] > path.stat().st_size:
        return InputError(path, "is cut off: its last part is missing", _AGAIN)
    return None


def _boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """Kind and end of the outermost boxes, up to what is none; the last may end behind the file's end."""
    length = path.stat().st_size
    begin = 0
    with path.open("rb") as file:
        while begin + 8 <= length:
            file.seek(begin)
            header = file.read(16)
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:  # the size follows the type, in 64 bits
                size = int.from_bytes(header[8:], "big")
            if kind not in _KINDS or 0 < size < 8:
                return
            begin = begin + size if size else length
            yield kind, begin


_KINDS = (
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"free", b"skip", b"wide"),
    *(b"uuid", b"meta", b"sidx", b"ssix", b"prft", b"emsg", b"pdin", b"pnot", b"PICT"),
)
