"""The core's way back into the picture, for IMAGE batches."""

from __future__ import annotations

import comfy.model_management
import torch
from torch import Tensor

from ...megactor_core.errors import InputError
from ...megactor_core.vision.crops import Crop
from ...megactor_core.vision.paste import paste_back
from .images import Pictures
from .progress import NodeProgress


def paste_frames(frames: Tensor, crop: Crop, image: Tensor, mask: Tensor | None) -> Tensor:
    """Whole pictures, IMAGE ``(F, H, W, 3)``.

    Args:
        frames: the animated square, ``(F, h, w, 3)``.
        crop: where it was cut out.
        image: the picture it was cut out of, or one per frame, ``(1 or F, H, W, 3 or 4)``.
        mask: how much of the square is used, ``(1 or F, H, W)`` or ``(H, W)``, or None for all of it.

    Raises:
        InputError: picture or mask of another size than the crop's picture, or of another number.
        InterruptProcessingException: the user has cancelled.
    """
    _check("image", image, crop, len(frames))
    if mask is not None:
        mask = mask.reshape(-1, *mask.shape[-2:]).float().cpu().clamp(0, 1)
        _check("mask", mask, crop, len(frames))
    progress = NodeProgress(len(frames))
    squares, pictures = Pictures(frames), Pictures(image)
    behind = pictures[0]
    device = comfy.model_management.intermediate_device()
    result = torch.empty((len(frames), *crop.source_size, 3), device=device)
    for index, square in enumerate(squares):
        if len(pictures) > 1:
            behind = pictures[index]
        weight = None if mask is None else mask[index if len(mask) > 1 else 0].numpy()
        result[index] = torch.from_numpy(paste_back(behind, crop, square, weight)) / 255
        progress.report(index + 1)
    return result


def _check(name: str, given: Tensor, crop: Crop, num_frames: int) -> None:
    height, width = crop.source_size
    if tuple(given.shape[1:3]) != (height, width):
        problem = (
            f"is {given.shape[2]}x{given.shape[1]}; the square was cut out of a {width}x{height} picture"
        )
        raise InputError(name, problem, "Link what Segment Reference was given, in its own size")
    if len(given) not in (1, num_frames):
        problem = f"is a batch of {len(given)} for {num_frames} frames"
        raise InputError(name, problem, "Link one, or one per frame")
