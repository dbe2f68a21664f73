"""The host's IMAGE and MASK to and from the core's pictures."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...megactor_core.errors import InputError


class Pictures(Sequence[NDArray[np.uint8]]):
    """An IMAGE as uint8 RGB pictures ``(H, W, 3)``, made one by one; transparent parts are white.

    Args:
        images: ``(B, H, W, 3 or 4)`` in 0..1.
    """

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]
        return to_pixels(self._images[index : index + 1]).round().clip(0, 255).astype(np.uint8)


def only_picture(images: Tensor, name: str) -> NDArray[np.uint8]:
    """The picture of an IMAGE that must hold just one, uint8 RGB ``(H, W, 3)``.

    Args:
        images: ``(1, H, W, 3 or 4)`` in 0..1.
        name: of the input.

    Raises:
        InputError: several pictures.
    """
    if len(images) != 1:
        remedy = "Pick one with Get Image from Batch"
        raise InputError(name, f"is a batch of {len(images)} pictures; one is wanted", remedy)
    return Pictures(images)[0]


def to_pixels(images: Tensor) -> NDArray[np.float32]:
    """The first picture of an IMAGE, float32 RGB ``(H, W, 3)``, 0..255, not rounded.

    What ``to_image`` made comes back with the same whole part everywhere, so that it may be truncated.

    Raises:
        InputError: values that are not numbers, as of a VAE that overflowed.
    """
    pixels = images[0].float().cpu()
    if pixels.isnan().any():
        remedy = "Decode or load it again; a VAE may need float32 (--fp32-vae)"
        raise InputError("a picture of an IMAGE", "holds values that are not numbers", remedy)
    if pixels.shape[-1] == 4:
        opacity = pixels[..., 3:]
        pixels = pixels[..., :3] * opacity + 1 - opacity
    return (pixels * 255).numpy()


def to_image(pixels: NDArray) -> Tensor:
    """RGB pictures ``(H, W, 3)`` or ``(B, H, W, 3)``, 0..255, any real type, as IMAGE, not rounded."""
    image = torch.from_numpy(pixels.astype(np.float32)) / 255
    return image.reshape(-1, *image.shape[-3:]).to(comfy.model_management.intermediate_device())


def only_mask(masks: Tensor, name: str) -> NDArray[np.float32]:
    """The mask of a MASK that must hold just one, float32 ``(H, W)``, 0..1.

    Args:
        masks: ``(1, H, W)`` or ``(H, W)``.
        name: of the input.

    Raises:
        InputError: several masks.
    """
    if masks.ndim == 3 and len(masks) != 1:
        raise InputError(
            name, f"is a batch of {len(masks)} masks; one is wanted", "Link the mask of one picture"
        )
    return masks.reshape(masks.shape[-2:]).float().cpu().clamp(0, 1).numpy()


def to_mask(mask: NDArray[np.float32]) -> Tensor:
    """A mask ``(H, W)``, 0..1, as MASK ``(1, H, W)``."""
    return torch.from_numpy(mask)[None].to(comfy.model_management.intermediate_device())
