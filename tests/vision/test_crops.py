"""Square crops and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.vision.crops import Crop, box_crop, face_area_ratios, face_crop, whole_crop

RNG = np.random.default_rng(0)


def test_face_crop_is_the_largest_square_around_the_clips_faces() -> None:
    crop = face_crop([(40, 20, 80, 70), (49, 27, 91, 77)], (96, 128), 64)
    assert crop.box == (17, 0, 113, 96)
    assert crop.apply(np.zeros((96, 128, 3), np.uint8)).shape == (64, 64, 3)


def test_face_on_the_border_has_no_square() -> None:
    with pytest.raises(InputError, match="Choose the crop whole, or give a box"):
        face_crop([(0, 10, 1, 30)], (50, 60), 64)


@pytest.mark.parametrize(
    "size, box", [((60, 100), (20, 0, 80, 60)), ((100, 60), (0, 20, 60, 80)), ((7, 7), (0, 0, 7, 7))]
)
def test_whole_crop_is_the_centred_square(size: tuple[int, int], box: tuple[int, ...]) -> None:
    assert whole_crop(size, 32).box == box


def test_box_crop_grows_to_a_square_around_the_box() -> None:
    assert box_crop((10, 20, 50, 40), (100, 100), 32).box == (10, 10, 50, 50)


def test_box_over_the_border_repeats_the_borders_pixels() -> None:
    image = RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    crop = box_crop((-10, 0, 10, 20), image.shape[:2], 20)
    result = crop.apply(image)
    np.testing.assert_array_equal(result[:, 10:], image[:, :10])
    np.testing.assert_array_equal(result[:, :10], np.repeat(image[:, :1], 10, axis=1))


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (30, 10, 20, 20), (100, 0, 120, 20), (-20, 0, 0, 20)])
def test_impossible_boxes(box: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="box"):
        box_crop(box, (100, 100), 32)


@pytest.mark.parametrize(
    "box", [(float("nan"), 0, 10, 10), (0, 0, float("inf"), 10), (0, 0, 20000, 20000), (-900, 0, 10, 20)]
)
def test_boxes_that_are_no_boxes_of_this_picture(box: tuple[float, ...]) -> None:
    with pytest.raises(
        InputError, match=r"^box .*(no number|more than 4 times as large as the 100x80 picture)"
    ):
        box_crop(box, (80, 100), 32)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_a_box_much_larger_than_the_picture_repeats_its_border(
    shape: tuple[int, ...], antialias: bool
) -> None:
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    box = (-70, -40, 80, 110)
    edges = [(40, 80), (70, 40)] + [(0, 0)] * (len(shape) - 2)
    whole = np.pad(image, edges, mode="edge")
    for size in (24, 200):
        expected = Crop((0, 0, 150, 150), (150, 150), size).apply(whole, antialias)
        np.testing.assert_allclose(Crop(box, (30, 40), size).apply(image, antialias), expected, atol=0.01)


@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 1), (40, 40, 3), (40, 40, 4)])
def test_crop_at_its_own_size_changes_nothing(shape: tuple[int, ...]) -> None:
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    result = Crop((5, 3, 25, 23), (40, 40), 20).apply(image)
    np.testing.assert_array_equal(result, image[3:23, 5:25])
    assert result.dtype == np.float32


def test_antialias_averages_what_plain_sampling_misses() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::4] = 255
    crop = whole_crop((64, 64), 16)
    assert crop.apply(stripes, antialias=True).std() < 0.1 * crop.apply(stripes).std() + 8


def test_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="crop is of a picture"):
        whole_crop((64, 64), 16).apply(np.zeros((64, 65, 3), np.uint8))


def test_positions_go_there_and_back() -> None:
    crop = Crop((10, 30, 60, 80), (100, 100), 200)
    np.testing.assert_allclose(crop.to_crop([35, 55, 60, 80]), [100, 100, 200, 200])
    points = RNG.uniform(0, 100, (4, 68, 2)).astype(np.float32)
    np.testing.assert_allclose(crop.to_source(crop.to_crop(points)), points, atol=1e-4)


def test_a_mark_is_found_where_its_position_says() -> None:
    image = np.zeros((100, 100), np.float32)
    image[40:44, 60:64] = 1
    crop = Crop((20, 10, 80, 70), (100, 100), 120)
    rows, columns = np.nonzero(crop.apply(image) > 0.5)
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], crop.to_crop([60, 40, 64, 44]), atol=1
    )


def test_face_area_ratios() -> None:
    np.testing.assert_allclose(face_area_ratios([(0, 0, 10, 20), (0, 0, 5, 4)], (40, 50)), [0.1, 0.01])
