"""Lip sync of an animated clip beside what chance gives."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.evaluation.clips.lip_sync import (
    CALIBRATION,
    LipSyncMeter,
    format_lip_sync,
    lip_sync_means,
    lip_sync_numbers,
)

RNG = np.random.default_rng(0)
OPENING = np.convolve(RNG.random(82), np.ones(3) / 3, "valid")  # 80 frames
SOUND = np.repeat(OPENING, 640).astype(np.float32)


class LoudnessReader:
    """Hears a mouth that is as open as the sound is loud."""

    def read(self, sound: np.ndarray, times: np.ndarray) -> np.ndarray:
        at = (np.asarray(times) * 16000 + 320).astype(int).clip(0, len(sound) - 1)
        return np.stack([sound[at]] * 3, axis=1)


def landmarks(image: np.ndarray) -> np.ndarray | None:
    """Lips as far apart as the picture is bright; no face in a black one."""
    if not image.any():
        return None
    points = np.zeros((68, 2), np.float32)
    points[36:42, 0], points[42:48, 0] = -20, 20
    points[65:68, 1] = image[0, 0, 0] / 8
    return points


def frames(opening: np.ndarray) -> np.ndarray:
    pixels = (20 + 200 * opening).astype(np.uint8)
    return np.broadcast_to(pixels[:, None, None, None], (len(pixels), 4, 4, 3)).copy()


def measured(output: np.ndarray) -> dict:
    meter = LipSyncMeter(landmarks, LoudnessReader())  # type: ignore[arg-type]
    found = meter.of(frames(output), frames(OPENING), SOUND, 25.0)
    return lip_sync_means([lip_sync_numbers(found)] * 5, 0)


def test_a_mouth_in_time_is_told_from_chance() -> None:
    means = measured(OPENING)
    assert means["output"]["r_at_0"]["mean"] > 0.98 and means["output"]["within_1"]["mean"] == 1
    assert means["other_sound"]["r_at_0"]["mean"] < 0.5
    assert "silence" not in means  # nothing is heard that a mouth could be in time with
    table = "\n".join(format_lip_sync(means))
    assert CALIBRATION in table and "driver" in table


def test_a_late_mouth_is_late_and_a_still_one_has_no_sync() -> None:
    means = measured(np.roll(OPENING, 4))
    assert means["output"]["within_1"]["mean"] == 0 < 0.9 < means["output"]["r"]["mean"]
    assert means["driver"]["within_1"]["mean"] == 1
    assert "output" not in measured(np.full(80, 0.4))


def test_clips_without_a_face_have_no_line() -> None:
    meter = LipSyncMeter(lambda image: None, LoudnessReader())  # type: ignore[arg-type]
    found = meter.of(frames(OPENING), frames(OPENING), SOUND, 25.0)
    assert lip_sync_means([lip_sync_numbers(found)], 0) == {} and format_lip_sync({}) == []
    assert found["output"].frames == 0 and found["output"].r != pytest.approx(0)
