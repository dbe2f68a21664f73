"""Context windows: every frame is visited, ends wrap or stay open, weights are flat or rise to the middle."""

from __future__ import annotations

import pytest

from megactor_core.errors import InputError
from megactor_core.sampling.windows import context_windows, window_weights


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
