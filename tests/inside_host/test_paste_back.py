"""Paste Back: the whole picture in its own resolution, changed only where the square was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.vision.crops import Crop
from megactor_pack.megactor_core.vision.paste import paste_back
from megactor_pack.nodes.host.images import Pictures, to_image
from megactor_pack.nodes.paste_back import PasteBack
from tiny_model import portrait_image
from torch import Tensor

CROP = Crop((20, 10, 70, 60), (80, 96), 64)
PICTURE = portrait_image(80, 96)
FRAMES = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(0))


def pasted(*arguments: Tensor | Crop) -> Tensor:
    return PasteBack.execute(*arguments).args[0]


def test_every_frame_in_the_picture_as_the_core_puts_it() -> None:
    result = pasted(FRAMES, CROP, to_image(PICTURE))
    assert result.shape == (3, 80, 96, 3) and result.dtype == torch.float32
    for picture, frame in zip(Pictures(result), Pictures(FRAMES), strict=True):
        assert np.array_equal(picture, paste_back(PICTURE, CROP, frame))
        assert np.array_equal(picture[:10], PICTURE[:10])
        assert not np.array_equal(picture, PICTURE)


def test_a_mask_and_a_picture_per_frame() -> None:
    images = torch.rand(3, 80, 96, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(3, 80, 96)
    mask[1] = 1
    result = pasted(FRAMES, CROP, images, mask)
    for index in (0, 2):
        assert np.array_equal(Pictures(result)[index], Pictures(images)[index])
    assert not np.array_equal(Pictures(result)[1], Pictures(images)[1])
    assert torch.equal(pasted(FRAMES, CROP, images, mask[1]), pasted(FRAMES, CROP, images))


def test_what_load_image_gives_as_a_mask() -> None:
    image = to_image(PICTURE)
    cut_out = torch.ones(1, 80, 96)
    cut_out[:, 15:, 30:60] = 0
    assert torch.equal(pasted(FRAMES, CROP, image, torch.zeros(1, 64, 64)), pasted(FRAMES, CROP, image))
    person = pasted(FRAMES, CROP, image, 1 - cut_out)
    assert torch.equal(pasted(FRAMES, CROP, image, cut_out), person)
    assert not torch.equal(person, pasted(FRAMES, CROP, image))


def test_a_mask_of_the_pictures_shape_in_another_size_is_scaled() -> None:
    mask = torch.zeros(1, 160, 192)
    mask[:, 30:, 60:120] = 1
    small = torch.nn.functional.avg_pool2d(mask, 2)
    pictures = [pasted(FRAMES, CROP, to_image(PICTURE), given) for given in (mask, small)]
    assert torch.allclose(*pictures, atol=1 / 255)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (torch.zeros(1, 64, 64, 3), None, "image: is 64x64; the square was cut out of a 96x80 picture"),
        (torch.zeros(2, 80, 96, 3), None, "image: is a batch of 2 for 3 frames"),
        (torch.zeros(1, 80, 96, 3), torch.zeros(1, 8, 8), "mask of 8x8: the picture is 96x80"),
    ],
)
def test_what_does_not_belong_together_is_refused(image: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pasted(FRAMES, CROP, image, mask)
