"""Contact sheets: rows of pictures as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..media.pictures import save_picture


def save_sheet(path: Path, rows: Sequence[NDArray[np.uint8]]) -> None:
    """Write rows of pictures, each uint8 (n, H, W, 3) RGB, one under the other; replaces an earlier sheet."""
    save_picture(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]), overwrite=True)


def to_images(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (n, 3, H, W) in [-1, 1] -> uint8 (n, H, W, 3)."""
    values = ((pictures.float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).numpy().astype(np.uint8))
