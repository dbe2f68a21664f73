"""Contact sheets: rows of pictures as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor


def save_sheet(path: Path, rows: Sequence[Tensor]) -> None:
    """Write rows of pictures, each float (n, 3, H, W) in [-1, 1], one under the other."""
    drawn = [np.concatenate(list(_to_uint8(row)), axis=1) for row in rows]
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(drawn), cv2.COLOR_RGB2BGR))


def _to_uint8(pictures: Tensor) -> np.ndarray:
    values = ((pictures.float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).numpy().astype(np.uint8))
