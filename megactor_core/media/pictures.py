"""Picture files: read as 8-bit RGB the way a viewer shows them, written as PNG or JPEG, read as masks."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from ..errors import InputError
from ..files import check_output, new_file
from .masks import fitted_mask
from .picture_mending import mended_picture

# Formats are recognised by content. Pillow's rarer readers are left out: some of them accept text or video.
Images = NDArray[np.uint8]
"""Pictures of one size, RGB ``(F, H, W, 3)``."""

FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
if "avif" in features.modules and features.check("avif"):  # Pillow 11.3 and later, as its makers build it
    FORMATS = (*FORMATS, "AVIF")
MAX_SIDE = 16384
MAX_PIXELS = 150_000_000
SAVE_SUFFIXES = (".png", ".jpg", ".jpeg")

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis")
_MENDED = ("PNG", "JPEG", "MPO")
_USE_PICTURE = "Give a PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF picture"


def load_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture the way a viewer shows it.

    The EXIF orientation and an embedded colour profile are applied; 16-bit greys are scaled to 8 bits;
    palettes, greys and CMYK become RGB. Transparent parts become white, as on a page. Of an animation or a
    file of several pages the first is read.

    Returns:
        (H, W, 3) uint8 RGB, contiguous.

    Raises:
        InputError: missing, empty, truncated or unknown file; a side above 16,384 pixels or above 150 million
            pixels in all (seen in the header, nothing is decoded).
    """
    with open_picture(path) as image:
        return to_rgb(image)


def save_picture(path: str | os.PathLike[str], image: np.ndarray, overwrite: bool = False) -> None:
    """Write a picture as PNG or JPEG (by the suffix; JPEG at quality 95 without chroma subsampling).

    Args:
        path: ends in .png, .jpg or .jpeg.
        image: (H, W, 3) uint8 RGB.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: see ``check_output``; a failed write, after which no file is left.
    """
    path = check_output(path, SAVE_SUFFIXES, overwrite)
    options: dict[str, Any] = {} if path.suffix.lower() == ".png" else {"quality": 95, "subsampling": 0}
    with new_file(path, overwrite) as temporary:
        Image.fromarray(image).save(temporary, **options)


def load_mask(path: str | os.PathLike[str], size_hw: tuple[int, int]) -> np.ndarray:
    """Read a mask: the picture's alpha channel where it has one with transparent parts, else its brightness.

    Args:
        path: a picture, 1 (white or opaque) where the mask holds.
        size_hw: (height, width) of its picture; a mask of the same shape in another size is scaled.

    Returns:
        (H, W) float32 in 0..1.

    Raises:
        InputError: see ``load_picture``; a mask of another shape.
    """
    with open_picture(path) as image:
        mask = _alpha(image)
        if mask is None:
            mask = np.asarray(Image.fromarray(to_rgb(image)).convert("L"))
    return fitted_mask(mask.astype(np.float32) / np.float32(255), size_hw, path)


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture by its content; size limits are checked in the header, before anything is decoded.

    Raises:
        InputError: missing, empty, truncated (also when the block reads on), unknown or too large.
    """
    image = _opened(check_input(path))
    with image:
        try:
            yield image
        except InputError:
            raise
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise _damaged(path) from error


def _opened(path: Path) -> Image.Image:
    """A picture whose header is right; of PNG and JPEG the first frame is decoded, mended if need be."""
    image: Image.Image | None = None
    try:
        image = _identified(path, path)
        if image.format in _MENDED:
            image.load()
        return image
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        if image is not None:
            image.close()
        mended = mended_picture(path)
        if mended is not None:
            with suppress(OSError, ValueError, SyntaxError):
                return _identified(path, mended)
        if isinstance(error, UnidentifiedImageError):
            check_heic(path)
            problem = "is not a picture that can be read (unknown format, damaged header, or no pixels)"
            raise InputError(path, problem, _USE_PICTURE) from error
        raise _damaged(path) from error


def _identified(path: Path, file: Path | io.BytesIO) -> Image.Image:
    """The content of ``path`` opened from ``file``; size limits are checked in the header."""
    try:
        with warnings.catch_warnings():
            # The size is checked below, whatever limit the program around has set in Pillow; broken EXIF
            # data are passed over.
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(path, "has too many pixels") from error
    width, height = image.size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise _too_large(path, f"is {width}x{height} pixels")
    if image.mode == "F":
        raise InputError(path, "holds floating-point values", "Save it with 8 or 16 bits a channel")
    if image.mode == "I" and np.asarray(image).max() > 65535:
        raise InputError(path, "holds greys of 32 bits", "Save it with 8 or 16 bits a channel")
    return image


def check_input(path: str | os.PathLike[str]) -> Path:
    """Make sure that a file is there and is not empty.

    Raises:
        InputError: missing, a folder, a pipe or a device, unreadable or empty.
    """
    path = Path(path)
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # no name holds a zero byte
        raise InputError(path, "there is no such file", "Check the name and the folder") from error
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check name and permissions") from error
    if path.is_dir():
        raise InputError(path, "is a folder", "Give the name of a file in it")
    if not stat.S_ISREG(kind):  # it could only be read once, and opening it may wait for ever
        raise InputError(path, "is a pipe or a device", "Save its content to a file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
    if empty:
        raise InputError(path, "is empty", "Give a file with content")
    return path


def to_rgb(image: Image.Image) -> np.ndarray:
    """One opened picture, or the current frame of an animation, as (H, W, 3) uint8 RGB on white."""
    image = _upright(image)
    if image.mode.startswith("I"):
        grey = _eight_bits(image)
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    image = _apply_profile(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; broken ones say nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ImageOps.exif_transpose(image)
        except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
            return image


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Greys of 16 bits, (H, W) uint8; a transparent one is white."""
    values = np.asarray(image)
    grey = np.clip(np.round(values / 257.0), 0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    return grey if transparent is None else np.where(values == transparent, 255, grey).astype(np.uint8)


def _apply_profile(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    mode = "RGB" if image.mode == "CMYK" else image.mode
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile: viewers show the plain numbers
    return converted or image


def _alpha(image: Image.Image) -> np.ndarray | None:
    """The alpha channel, or None where there is none or it is opaque throughout; (H, W) uint8."""
    if not image.has_transparency_data or image.mode.startswith("I"):
        return None
    alpha = np.asarray(_upright(image).convert("RGBA"))[..., 3]
    return None if alpha.min() == 255 else alpha


def _too_large(path: str | os.PathLike[str], problem: str) -> InputError:
    limit = f"at most {MAX_SIDE} pixels a side and {MAX_PIXELS // 1_000_000} million in all are read"
    return InputError(path, f"{problem}; {limit}", "Scale the picture down")


def check_heic(path: Path) -> None:
    """Raises InputError for a phone's HEIC picture: Pillow does not read it, FFmpeg its tiles one by one."""
    with path.open("rb") as file:
        beginning = file.read(32)
    brands = beginning[8:]
    if beginning[4:8] == b"ftyp" and b"avif" not in brands and any(one in brands for one in _HEIC_BRANDS):
        raise InputError(path, "is a HEIC picture, which is not read", "Save it as JPEG or PNG")


def _damaged(path: str | os.PathLike[str]) -> InputError:
    problem = "is damaged or cut off, and cannot be read to its end"
    return InputError(path, problem, "Save or download it again")
