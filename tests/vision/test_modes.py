"""Every driving mode keeps what it promises, whoever asks for it."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.models.config import ModelConfig
from megactor_core.models.networks import CONTROLS
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.vision.modes.levels import ShownPlan, show
from megactor_core.vision.modes.mode import GREY, ClipFaces, DrivingMode, PlanOptions
from megactor_core.vision.modes.registry import MODES, some_read

SIZE = 64
LANDMARKS = (MEAN_FACE[:, :2] * 2 + 30).astype(np.float32)
FACES = ClipFaces(SIZE, landmarks=[LANDMARKS, LANDMARKS + 2], boxes=np.float32([[14, 18, 46, 50]] * 2))
SQUARES = np.random.default_rng(0).uniform(60, 250, (2, SIZE, SIZE, 3)).astype(np.float32)

every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))


@every_mode
def test_a_mode_shows_the_pictures_it_names_in_their_range(mode: DrivingMode) -> None:
    assert mode.pictures in ((GREY,), CONTROLS)
    plan, note = mode.plan(FACES, PlanOptions())
    for index, square in enumerate(SQUARES):
        pictures = plan.pictures(index, square)
        assert tuple(pictures) == mode.pictures
        for name, picture in pictures.items():
            assert picture.dtype == np.float32
            low, high, shape = (0, 255, (SIZE, SIZE)) if name == GREY else (-1, 1, (SIZE, SIZE, 3))
            assert picture.shape == shape and picture.min() >= low and picture.max() <= high
            assert picture.max() > low, "something is shown"
    assert isinstance(note, str)


@every_mode
def test_levels_are_what_the_mode_shows(mode: DrivingMode) -> None:
    levels, (plan, _) = show(mode, SQUARES, FACES), mode.plan(FACES, PlanOptions())
    for index, square in enumerate(SQUARES):
        again = ShownPlan(levels).pictures(index, square)
        for name, picture in plan.pictures(index, square).items():
            step = 1 if name == GREY else 2 / 255
            np.testing.assert_allclose(again[name], picture, atol=0.51 * step)


@every_mode
def test_a_mode_without_need_of_a_face_shows_everything(mode: DrivingMode) -> None:
    if mode.needs_face:
        return
    plan, _ = mode.plan(ClipFaces(SIZE, landmarks=[None, None]), PlanOptions())
    first = plan.pictures(0, SQUARES[0])[mode.pictures[0]]
    assert (first > first.min()).mean() > 0.95


def test_models_name_modes_that_exist() -> None:
    assert set(ModelConfig().driving_modes) <= set(MODES)
    assert some_read(["plain", "hints"], "best_frame") and not some_read(["plain", "eyes"], "best_frame")
