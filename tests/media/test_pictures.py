"""Pictures come in as a viewer shows them; bad ones end in one clear line; good ones are written whole."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from megactor_core.errors import InputError
from megactor_core.media.pictures import load_mask, load_picture, save_picture


def _gradient(width: int = 32, height: int = 20) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 90)], -1).astype(
        np.uint8
    )


def _png_header(path: Path, width: int, height: int) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    return path


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_picture(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_rgb_is_read_unchanged(tmp_path: Path) -> None:
    Image.fromarray(_gradient()).save(tmp_path / "a.png")
    loaded = load_picture(tmp_path / "a.png")
    assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, _gradient())


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a)),
        (8, lambda a: np.rot90(a, 3)),
    ],
)
def test_a_phone_picture_stands_upright(tmp_path: Path, orientation: int, undo) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo(_gradient()))).save(tmp_path / "phone.png", exif=exif)
    np.testing.assert_array_equal(load_picture(tmp_path / "phone.png"), _gradient())


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (200, 0, 0, 255)
    pixels[0, 1] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "cutout.png")
    loaded = load_picture(tmp_path / "cutout.png")
    assert loaded[0, 0].tolist() == [200, 0, 0]
    assert loaded[0, 1].tolist() == pytest.approx([127, 127, 127], abs=1)
    assert (loaded[1] == 255).all()


def test_grey_with_alpha_and_palette_with_a_transparent_colour_become_white_too(tmp_path: Path) -> None:
    Image.merge("LA", [Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 0)]).save(tmp_path / "grey.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=1)
    palette.save(tmp_path / "opaque.png")
    assert (load_picture(tmp_path / "grey.png") == 255).all()
    assert (load_picture(tmp_path / "palette.png") == 255).all()
    assert (load_picture(tmp_path / "opaque.png") == [255, 0, 0]).all()


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_pictures_become_rgb(tmp_path: Path, mode: str) -> None:
    Image.fromarray(_gradient()).convert(mode).save(tmp_path / "grey.png")
    loaded = load_picture(tmp_path / "grey.png")
    assert loaded.shape == (20, 32, 3) and loaded.min() < 50 and loaded.max() > 150
    assert (loaded[..., 0] == loaded[..., 2]).all()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = _gradient().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"grey.{suffix}"), deep[..., 0])
    np.testing.assert_array_equal(load_picture(tmp_path / f"grey.{suffix}")[..., 1], _gradient()[..., 0])
    if suffix == "png":
        cv2.imwrite(str(tmp_path / "colour.png"), deep[..., ::-1])
        np.testing.assert_array_equal(load_picture(tmp_path / "colour.png"), _gradient())


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (220, 60, 40))
    flat.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert load_picture(tmp_path / "print.jpg")[8, 8].tolist() == pytest.approx([220, 60, 40], abs=6)


def test_an_embedded_profile_is_applied_and_a_broken_one_does_not_stop_the_reading(tmp_path: Path) -> None:
    flat = Image.new("RGB", (8, 8), (128, 128, 128))
    srgb = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    flat.save(tmp_path / "srgb.png", icc_profile=srgb)
    flat.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    for name in ("srgb.png", "broken.png"):
        assert load_picture(tmp_path / name)[4, 4].tolist() == pytest.approx([128, 128, 128], abs=1)


def test_a_picture_too_large_is_refused_from_its_header(tmp_path: Path) -> None:
    message = _refusal(_png_header(tmp_path / "huge.png", 30_000, 30_000))
    assert "pixels" in message and "Scale the picture down" in message
    assert "20000x4" in _refusal(_png_header(tmp_path / "long.png", 20_000, 4))


def test_the_size_limit_holds_where_another_program_has_lifted_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "30000x30000" in _refusal(_png_header(tmp_path / "huge.png", 30_000, 30_000))


def test_files_that_are_no_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("this is not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    assert "not a picture" in _refusal(tmp_path / "text.png")
    assert "empty" in _refusal(tmp_path / "empty.png")
    assert "folder" in _refusal(tmp_path / "folder.png")
    assert "no such file" in _refusal(tmp_path / "missing.png")
    assert "no pixels" in _refusal(_png_header(tmp_path / "nothing.png", 0, 0))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_truncated_pictures_are_refused(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    _refusal(path)


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "float.tiff")
    assert "floating-point" in _refusal(tmp_path / "float.tiff")


def test_png_is_written_exactly_and_jpeg_closely(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", _gradient())
    save_picture(tmp_path / "a.jpg", _gradient())
    np.testing.assert_array_equal(load_picture(tmp_path / "a.png"), _gradient())
    assert np.abs(load_picture(tmp_path / "a.jpg").astype(int) - _gradient()).mean() < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]


def test_an_existing_picture_is_kept_unless_overwriting_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="exists already"):
        save_picture(path, _gradient())
    assert path.read_bytes() == b"precious"
    save_picture(path, _gradient(), overwrite=True)
    assert load_picture(path).shape == (20, 32, 3)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder does not exist"):
        save_picture(tmp_path / "missing" / "a.png", _gradient())
    with pytest.raises(InputError, match=r"\.png, \.jpg"):
        save_picture(tmp_path / "a.xyz", _gradient())
    with pytest.raises(TypeError):
        save_picture(tmp_path / "a.png", np.zeros((4, 4, 7), np.float64))
    assert list(tmp_path.iterdir()) == []


def test_a_mask_is_the_alpha_channel_of_a_cutout_and_the_brightness_of_a_drawing(tmp_path: Path) -> None:
    cutout = np.zeros((4, 6, 4), np.uint8)
    cutout[:, 3:, 3] = 255
    Image.fromarray(cutout).save(tmp_path / "cutout.png")
    Image.fromarray(np.repeat(cutout[..., 3:], 3, axis=2)).convert("RGBA").save(tmp_path / "drawing.png")
    cv2.imwrite(str(tmp_path / "deep.png"), cutout[..., 3].astype(np.uint16) * 257)
    for name in ("cutout.png", "drawing.png", "deep.png"):
        mask = load_mask(tmp_path / name, (4, 6))
        assert mask.dtype == np.float32 and mask.shape == (4, 6)
        assert (mask[:, :3] == 0).all() and (mask[:, 3:] == 1).all()


def test_a_mask_of_the_pictures_shape_is_scaled(tmp_path: Path) -> None:
    drawn = np.zeros((40, 60), np.uint8)
    drawn[:, 30:] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    for size in ((80, 120), (20, 30), (79, 119)):
        mask = load_mask(tmp_path / "mask.png", size)
        assert mask.dtype == np.float32 and mask.shape == size and mask.min() >= 0 and mask.max() <= 1
        assert (mask[:, : size[1] // 2 - 2] == 0).all() and (mask[:, size[1] // 2 + 2 :] == 1).all()


def test_a_mask_of_another_size_names_both_sizes(tmp_path: Path) -> None:
    Image.new("L", (6, 4)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="6x4 pixels, the picture 8x5"):
        load_mask(tmp_path / "mask.png", (5, 8))
