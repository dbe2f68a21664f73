"""Pictures that viewers show are read, also with damage that viewers pass over; lost pixels are told."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from megactor_core.errors import InputError
from megactor_core.media.pictures import load_picture
from megactor_core.media.reading import open_driving

PICTURE = np.kron(np.random.default_rng(0).integers(0, 255, (8, 8, 3)), np.ones((12, 12, 1))).astype(np.uint8)


def _read(path: Path) -> np.ndarray:
    """The picture, as a portrait and as a driver, without a word on the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = load_picture(path)
        source = open_driving(path)
        ((_, _, driver),) = source.frames()
    assert np.array_equal(picture, driver)
    return picture


def _chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    checksum = zlib.crc32(kind + data) ^ wrong
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


@pytest.mark.parametrize(
    "extra",
    [
        _chunk(b"eXIf", b"garbage"),
        _chunk(b"eXIf", b"MM\0*\0\0\0\x08", wrong=1),
        _chunk(b"tEXt", b"a\0b", wrong=1),
        _chunk(b"iCCP", b"x\0\0garbage"),
        _chunk(b"gAMA", b"\0"),
        _chunk(b"pHYs", b"\0"),
    ],
    ids=ascii,
)
def test_broken_extras_of_a_png_are_passed_over(tmp_path: Path, extra: bytes) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + extra + data[33:])
    assert np.array_equal(_read(path), PICTURE)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_last_bytes_is_whole(tmp_path: Path, missing: int, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(path, quality=95, progressive=progressive)
    whole = _read(path)
    path.write_bytes(path.read_bytes()[:-missing])
    assert np.array_equal(_read(path), whole)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.99])
def test_a_jpeg_without_a_part_of_its_pixels_is_refused(
    tmp_path: Path, part: float, progressive: bool
) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(path, quality=95, progressive=progressive)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match="cut off"):
        load_picture(path)
    with pytest.raises(InputError, match="cut off"):
        list(open_driving(path).frames())


def test_broken_exif_data_are_passed_over_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    tags = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x32\x01\x02\0\x14\0\0\0\xff\xff\0\0"
    Image.fromarray(PICTURE).save(path, exif=tags, quality=95, subsampling=0)
    assert np.abs(_read(path).astype(int) - PICTURE).mean() < 5


def test_a_transparent_grey_of_16_bits_is_white(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0)
    chunks = [
        _chunk(b"IHDR", header),
        _chunk(b"tRNS", struct.pack(">H", 0)),
        _chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">3H", 0, 30_000, 65_535))),
        _chunk(b"IEND", b""),
    ]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert _read(path)[0, :, 0].tolist() == [255, 117, 255]


def test_greys_of_32_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 2**30]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: holds greys of 32 bits"):
        load_picture(tmp_path / "a.tif")


@pytest.mark.skipif("avif" not in features.modules or not features.check("avif"), reason="Pillow lacks AVIF")
def test_avif_is_read_as_picture_and_as_animation(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(PICTURE).save(path, quality=95, subsampling="4:4:4")
    assert np.abs(_read(path).astype(int) - PICTURE).mean() < 5
    images = [Image.new("RGB", (32, 32), (level,) * 3) for level in (10, 100, 200)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[40, 80, 120])
    source = open_driving(path)
    assert [round(image.mean()) for _, _, image in source.frames()] == pytest.approx([10, 100, 200], abs=2)
    assert [float(source.frame_times.time(index)) for index in range(4)] == [0, 0.04, 0.12, 0.24]


def test_heic_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200))
    for read in (load_picture, open_driving):
        with pytest.raises(
            InputError, match=r"is a HEIC picture, which is not read\. Save it as JPEG or PNG"
        ):
            read(path)
