"""Person masks of some frames of a clip, stacked in one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .shards import BACKGROUND, BrokenSample, Entry

_FRAMES = "frames"


def pack_masks(numbers: Sequence[int], masks: NDArray[np.float32]) -> bytes:
    """A grey PNG, one mask below the other, 255 = person; the frames' numbers are a text in it.

    Args:
        numbers: the frames, one per mask.
        masks: (n, h, w), 0..1, 1 = person.
    """
    text = PngInfo()
    text.add_text(_FRAMES, " ".join(map(str, numbers)))
    buffer = io.BytesIO()
    Image.fromarray((masks.reshape(-1, masks.shape[-1]) * 255 + 0.5).astype(np.uint8)).save(
        buffer, "PNG", pnginfo=text
    )
    return buffer.getvalue()


def read_masks(clip: Entry) -> dict[int, NDArray[np.float32]]:
    """Person masks by the numbers of their frames, float32 (h, w), 0..1, 1 = person.

    Raises:
        BrokenSample: there are none, or they cannot be read.
    """
    data = clip.read(BACKGROUND)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            numbers = [int(number) for number in image.info[_FRAMES].split()]
            stacked = np.asarray(image.convert("L"))
        masks = stacked.reshape(len(numbers), -1, stacked.shape[1])
    except (OSError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise BrokenSample(f"part {BACKGROUND} cannot be read") from error
    scaled = masks.astype(np.float32) / np.float32(255)
    return dict(zip(numbers, scaled, strict=True))
