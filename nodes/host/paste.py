"""The core's way back into the picture, for IMAGE batches."""

from __future__ import annotations

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...megactor_core.errors import InputError
from ...megactor_core.media.masks import fitted_mask
from ...megactor_core.vision.crops import Crop
from ...megactor_core.vision.foreground import marks_background, usual_face
from ...megactor_core.vision.paste import paste_back
from .images import Pictures
from .people import is_no_mask
from .progress import NodeProgress


def paste_frames(frames: Tensor, crop: Crop, image: Tensor, mask: Tensor | None) -> Tensor:
    """Whole pictures, IMAGE ``(F, H, W, 3)``.

    Args:
        frames: the animated square, ``(F, h, w, 3)``.
        crop: where it was cut out.
        image: the picture it was cut out of, or one per frame, ``(1 or F, H, W, 3 or 4)``.
        mask: how much of the square is used, ``(1 or F, H, W)`` or ``(H, W)``, or None for all of it; see
            ``square_masks``.

    Raises:
        InputError: a picture of another size than the crop's, a mask of another shape, or another number.
        InterruptProcessingException: the user has cancelled.
    """
    _check("image", image, crop, len(frames))
    weights = None if mask is None else square_masks(mask, crop)
    if weights is not None:
        _check_number("mask", len(weights), len(frames))
    progress = NodeProgress(len(frames))
    squares, pictures = Pictures(frames), Pictures(image)
    behind = pictures[0]
    device = comfy.model_management.intermediate_device()
    result = torch.empty((len(frames), *crop.source_size, 3), device=device)
    for index, square in enumerate(squares):
        if len(pictures) > 1:
            behind = pictures[index]
        weight = None if weights is None else weights[index if len(weights) > 1 else 0]
        result[index] = torch.from_numpy(paste_back(behind, crop, square, weight)) / 255
        progress.report(index + 1)
    return result


def square_masks(mask: Tensor, crop: Crop) -> list[NDArray[np.float32]] | None:
    """Masks of the used part of the square, float32 ``(H, W)``, 0..1, in the crop's picture.

    As in Segment Reference, Load Image's 64x64 zeros are no mask, one of the picture's shape is scaled, and
    one that marks what is around the middle of the square is inverted.

    Args:
        mask: MASK ``(n, h, w)`` or ``(h, w)``.
        crop: where the square was cut out.

    Raises:
        InputError: a mask of another shape than the crop's picture.
    """
    masks = mask.reshape(-1, *mask.shape[-2:])
    if is_no_mask(masks, (64, 64)):
        return None
    fitted = [fitted_mask(one.float().cpu().clamp(0, 1).numpy(), crop.source_size) for one in masks]
    middle = crop.to_source(usual_face((crop.size, crop.size))).tolist()
    return [1 - one if marks_background(one, middle) else one for one in fitted]


def _check(name: str, given: Tensor, crop: Crop, num_frames: int) -> None:
    height, width = crop.source_size
    if tuple(given.shape[1:3]) != (height, width):
        problem = (
            f"is {given.shape[2]}x{given.shape[1]}; the square was cut out of a {width}x{height} picture"
        )
        raise InputError(name, problem, "Link what Segment Reference was given, in its own size")
    _check_number(name, len(given), num_frames)


def _check_number(name: str, number: int, num_frames: int) -> None:
    if number not in (1, num_frames):
        problem = f"is a batch of {number} for {num_frames} frames"
        raise InputError(name, problem, "Link one, or one per frame")
