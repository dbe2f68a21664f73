"""Following one face through a clip with a scripted detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from megactor_core.errors import InputError
from megactor_core.vision.faces import Face, FaceChoice
from megactor_core.vision.tracking import FaceTrack, LostPolicy, format_frames, track_faces

Box = tuple[float, float, float, float]


class ScriptedDetector:
    """Returns the next frame's boxes at each call."""

    def __init__(self, script: Sequence[Sequence[Box]]) -> None:
        self._script = iter(script)

    def detect(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
        return tuple(Face(box, 0.9, np.zeros((5, 2), np.float32)) for box in next(self._script))


def blank_frames(count: int) -> Iterator[NDArray[np.uint8]]:
    return (np.zeros((8, 8, 3), np.uint8) for _ in range(count))


def track(
    script: Sequence[Sequence[Box]],
    choice: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
) -> FaceTrack:
    return track_faces(blank_frames(len(script)), ScriptedDetector(script), choice, lost, smoothing)


def at(x: float, size: float = 40) -> Box:
    return x, 10, x + size, 10 + size


def test_boxes_as_detected() -> None:
    result = track([[at(0)], [at(5)], [at(9)]])
    np.testing.assert_array_equal(result.boxes, np.float32([at(0), at(5), at(9)]))
    assert result.boxes.dtype == np.float32
    assert result.found.all() and not result.passed.any()
    assert str(result.report) == "face found in all 3 frames"


def test_chosen_face_is_kept_when_another_becomes_larger() -> None:
    script = [[at(100, 50), at(0, 60)], [at(2, 30), at(104, 80)], [at(108, 90), at(4, 30)]]
    np.testing.assert_array_equal(track(script).boxes[:, 0], [0, 2, 4])
    script[0] = script[0][::-1]
    np.testing.assert_array_equal(track(script).boxes[:, 0], [0, 2, 4])


def test_choice_by_index_and_point() -> None:
    script = [[at(100), at(0)], [at(3), at(103)]]
    np.testing.assert_array_equal(track(script, choice=1).boxes[:, 0], [100, 103])
    np.testing.assert_array_equal(track(script, choice=(10.0, 10.0)).boxes[:, 0], [0, 3])


def test_hold_repeats_the_last_box() -> None:
    result = track([[at(0)], [], [], [at(9)], []])
    np.testing.assert_array_equal(result.boxes[:, 0], [0, 0, 0, 9, 9])
    assert result.found.tolist() == [True, False, False, True, False]
    assert result.report.lost == (1, 2, 4)
    assert str(result.report) == "face not found in 3 of 5 frames (1-2, 4): the last box was held"


def test_interpolate_goes_straight_to_the_next_box() -> None:
    result = track([[at(0)], [], [], [at(9)], []], lost="interpolate")
    np.testing.assert_allclose(result.boxes[:, 0], [0, 3, 6, 9, 9])


def test_pass_marks_the_frames_and_keeps_their_boxes_usable() -> None:
    result = track([[at(0)], [], [at(9)]], lost="pass")
    assert result.passed.tolist() == [False, True, False]
    assert np.isfinite(result.boxes).all()
    assert "handed through" in str(result.report)


@pytest.mark.parametrize("lost", ["hold", "interpolate", "pass"])
def test_face_that_appears_later(lost: LostPolicy) -> None:
    result = track([[], [], [at(7)], [at(8)]], lost=lost)
    np.testing.assert_array_equal(result.boxes[:, 0], [7, 7, 7, 8])
    assert result.report.lost == (0, 1)


def test_index_waits_for_the_frame_that_has_it_and_looks_back() -> None:
    result = track([[], [at(0)], [at(100)], [at(1), at(101)], [at(102), at(2)]], choice=1)
    np.testing.assert_array_equal(result.boxes[:, 0], [100, 100, 100, 101, 102])
    assert result.found.tolist() == [False, False, True, True, True]


def test_another_persons_face_does_not_replace_a_lost_one() -> None:
    result = track([[at(0), at(100)], [at(101)], [at(2), at(102)]], choice=0)
    np.testing.assert_array_equal(result.boxes[:, 0], [0, 0, 2])
    assert result.report.lost == (1,)


def test_single_face_that_jumps_is_followed() -> None:
    np.testing.assert_array_equal(track([[at(0)], [at(80)], [at(160)]]).boxes[:, 0], [0, 80, 160])


def test_face_is_chosen_again_after_a_long_loss() -> None:
    script = [[at(0), at(300, 20)], *[[at(100), at(200, 50)]] * 20]
    result = track(script)
    assert result.boxes[-1, 0] == 200
    (again,) = result.report.chosen_again
    assert f"chosen again in {again}" in str(result.report)


def test_smoothing_calms_without_delay() -> None:
    noise = np.random.default_rng(0).normal(scale=3, size=60)
    script = [[at(100 + 2 * index + shake)] for index, shake in enumerate(noise)]
    raw, smooth = track(script).boxes[:, 0], track(script, smoothing=0.7).boxes[:, 0]
    true_path = 100 + 2 * np.arange(60)
    assert np.abs(np.diff(smooth, n=2)).mean() < 0.2 * np.abs(np.diff(raw, n=2)).mean()
    assert abs((smooth - true_path)[10:-10].mean()) < 1


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_outside_its_range(smoothing: float) -> None:
    with pytest.raises(InputError, match="from 0 to below 1"):
        track([[at(0)]], smoothing=smoothing)


def test_clip_without_a_face_names_the_ways_out() -> None:
    with pytest.raises(
        InputError, match=r"clip\.mp4: no face was found\. Choose the crop whole, or give a box"
    ):
        track_faces(blank_frames(3), ScriptedDetector([[]] * 3), subject="clip.mp4")


def test_index_no_frame_has() -> None:
    with pytest.raises(InputError, match=r"face 2: .*more than 2 faces.* 0 to 1"):
        track([[at(0), at(90)], [at(0)]], choice=2)


def test_frames_are_read_one_by_one() -> None:
    seen: list[int] = []

    class Counting(ScriptedDetector):
        def detect(self, image: NDArray[np.uint8]) -> tuple[Face, ...]:
            seen.append(drawn[-1])
            return super().detect(image)

    drawn: list[int] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for index in range(4):
            drawn.append(index)
            yield np.zeros((4, 4, 3), np.uint8)

    track_faces(frames(), Counting([[at(0)]] * 4))
    assert seen == [0, 1, 2, 3]


def test_frame_numbers_are_written_as_runs() -> None:
    assert format_frames([0, 1, 2, 7, 9, 10]) == "0-2, 7, 9-10"
