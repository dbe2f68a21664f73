"""Context windows: every frame is visited, ends wrap or stay open, weights are flat or rise to the middle."""

from __future__ import annotations

import pytest

from megactor_core.errors import InputError
from megactor_core.sampling.sampler import SamplingSettings
from megactor_core.sampling.windows import (
    circular_windows,
    context_windows,
    shifted_windows,
    window_weights,
)


@pytest.mark.parametrize("closed_loop", [True, False])
@pytest.mark.parametrize("num_frames", [1, 7, 8, 9, 24, 101])
@pytest.mark.parametrize("overlap", [0, 3, 7])
def test_every_frame_is_visited(num_frames: int, overlap: int, closed_loop: bool) -> None:
    windows = context_windows(num_frames, 8, overlap, closed_loop)
    assert {index for window in windows for index in window} == set(range(num_frames))
    assert {len(window) for window in windows} == {min(8, num_frames)}
    assert all(len(set(window)) == len(window) for window in windows)


def test_closed_ends_wrap_to_the_first_frames() -> None:
    assert context_windows(10, 4, 1) == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [9, 0, 1, 2]]


def test_open_ends_finish_with_the_clip() -> None:
    assert context_windows(10, 4, 1, closed_loop=False) == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert context_windows(9, 4, 1, closed_loop=False) == [[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]]


def test_pyramid_weights_rise_to_the_middle() -> None:
    assert window_weights(5, "pyramid") == [1, 2, 3, 2, 1]
    assert window_weights(4, "flat") == [1, 1, 1, 1]


@pytest.mark.parametrize("overlap", [-1, 8, 12])
def test_an_overlap_without_a_step_forward_is_refused(overlap: int) -> None:
    with pytest.raises(InputError, match="less than the context length"):
        context_windows(100, 8, overlap)


@pytest.mark.parametrize("num_frames", [1, 5, 8, 9, 24, 101])
@pytest.mark.parametrize("step", [0, 1, 7, 8, 20])
def test_a_shifted_grid_visits_every_frame_and_moves_on_with_every_step(num_frames: int, step: int) -> None:
    windows = shifted_windows(num_frames, 8, 0, step)
    assert {index for window in windows for index in window} == set(range(num_frames))
    assert all(1 <= len(window) <= 8 for window in windows)
    assert len(windows[0]) == min(8 - step % 8, num_frames)


@pytest.mark.parametrize("num_frames", [1, 3, 5, 8, 9, 24, 101])
@pytest.mark.parametrize("offset", [0, 2, 100])
def test_a_ring_of_windows_visits_every_frame_wherever_it_begins(num_frames: int, offset: int) -> None:
    windows = circular_windows(num_frames, 8, 2, offset % num_frames)
    assert {index for window in windows for index in window} == set(range(num_frames))
    assert {len(window) for window in windows} == {8} and windows[0][0] == offset % num_frames


def test_a_random_grid_repeats_for_a_seed_and_changes_from_step_to_step() -> None:
    settings = SamplingSettings(seed=3, window_grid="random")
    steps = [settings.windows(100, step) for step in range(5)]
    assert steps == [SamplingSettings(seed=3, window_grid="random").windows(100, step) for step in range(5)]
    assert len({windows[0][0] for windows in steps}) > 1
    assert steps != [SamplingSettings(seed=4, window_grid="random").windows(100, step) for step in range(5)]
