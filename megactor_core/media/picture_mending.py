"""Damage to pictures that viewers pass over: broken extras of a PNG file, a JPEG file without its end."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageChops

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# What the pixels need, and what changes how they look; animations have frames of their own.
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
_PNG_LOOKS = (b"iCCP", b"eXIf")
# Ordinary data of a JPEG picture: if one lacks some of its own, it makes pixels of them.
_MORE_DATA = bytes((42, 149)) * 4096


def mended_picture(path: Path) -> io.BytesIO | None:
    """The file without its damage; None where pixels are lost, or of other formats.

    Args:
        path: a file that Pillow cannot read, with no more pixels than may be decoded.
    """
    with path.open("rb") as file:
        beginning = file.read(len(PNG_SIGNATURE))
        if beginning == PNG_SIGNATURE:
            return io.BytesIO(PNG_SIGNATURE + b"".join(_kept_chunks(file.read())))
        if beginning.startswith(_JPEG_SIGNATURE):
            data = beginning + file.read()
            return io.BytesIO(data + _JPEG_END) if _holds_all_pixels(data) else None
    return None


def _kept_chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a PNG file that its pixels need, and others that are whole and change how they look."""
    begin = 0
    while begin + 12 <= len(data):
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        kind, chunk = data[begin + 4 : begin + 8], data[begin:end]
        whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind in _PNG_PIXELS or (kind in _PNG_LOOKS and whole):
            yield chunk
        begin = end


def _holds_all_pixels(data: bytes) -> bool:
    """Whether a JPEG file without an end has its whole picture: data that follow do not change it then."""
    try:
        ended, prolonged = (
            Image.open(io.BytesIO(begun + _JPEG_END), formats=("JPEG",)).convert("RGB")
            for begun in (data, data.rstrip(b"\xff") + _MORE_DATA)
        )
    except (OSError, ValueError, SyntaxError):
        return False
    return ImageChops.difference(ended, prolonged).getbbox() is None
