"""Amplitudes change exactly what they say: expression about the rest frame, speech by its weight."""

from __future__ import annotations

import pytest
import torch

from megactor_core.conditioning.amplitude import scale_conditions
from megactor_core.errors import InputError
from megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.motion import AS_DRIVEN, Amplitude, parse_keyframes

FRAMES = 4


def conditions() -> Conditions:
    latents = torch.zeros(1, 4, 2, 2)
    features = torch.tensor([0.0, 1.0, 2.0, 9.0])[None, None, :, None, None].expand(1, 4, -1, 2, 2)
    return Conditions(
        ReferenceCondition(latents, latents[:, :0, None], latents.new_empty(1, 0)),
        BackgroundCondition(torch.zeros(1, 1, 8)),
        DrivingCondition(features.clone(), torch.full((1, 4, 1, 2, 2), -1.0)),
        AudioCondition(torch.zeros(9, 5, 8), torch.zeros(FRAMES, 10, dtype=torch.int64), torch.ones(FRAMES)),
    )


def driven(amplitude: Amplitude) -> list[float]:
    return scale_conditions(conditions(), amplitude).driving.features[0, 0, :, 0, 0].tolist()


def test_one_is_exactly_as_driven() -> None:
    same = scale_conditions(conditions(), AS_DRIVEN)
    assert torch.equal(same.driving.features, conditions().driving.features)
    assert same.audio is not None and same.audio.weight.tolist() == [1] * FRAMES


def test_expression_moves_about_the_frame_nearest_to_the_mean() -> None:
    assert driven(Amplitude(expression=0)) == [2] * FRAMES
    assert driven(Amplitude(expression=0.5)) == [1, 1.5, 2, 5.5]
    assert driven(Amplitude(expression=2)) == [-2, 0, 2, 16]
    assert driven(Amplitude(expression=[1, 0, 1, 0])) == [0, 2, 2, 2]


def test_speech_weighs_every_frame_and_leaves_the_unconditional_driver() -> None:
    scaled = scale_conditions(conditions(), Amplitude(speech=[0, 0.5, 1, 2], expression=0))
    assert scaled.audio is not None and scaled.audio.weight.tolist() == [0, 0.5, 1, 2]
    unconditional = scaled.driving.unconditional
    assert unconditional is not None and (unconditional == -1).all()


@pytest.mark.parametrize("name", ["speech", "expression"])
def test_keyframes_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="has 3 values, the clip has 4 frames"):
        scale_conditions(conditions(), Amplitude(**{name: [1.0, 1.0, 1.0]}))


def test_keyframes_are_joined_by_lines_and_held_outside() -> None:
    amplitude = Amplitude(speech={1: 0.0, 3: 1.0})
    assert amplitude.frames("speech", 5).tolist() == [0, 0, 0.5, 1, 1]
    with pytest.raises(InputError, match=r"keyframes \[1, 3\], the clip has frames 0 to 2"):
        amplitude.frames("speech", 3)
    with pytest.raises(InputError, match="finite"):
        Amplitude(expression={0: float("nan")})


@pytest.mark.parametrize(
    ("text", "keyframes"),
    [("0.5", 0.5), ("1, 0.5", [1, 0.5]), ("0: 1, 25: 0.2", {0: 1, 25: 0.2}), ("3:2", {3: 2})],
)
def test_keyframes_as_people_write_them(text: str, keyframes: object) -> None:
    assert parse_keyframes(text) == keyframes


@pytest.mark.parametrize("text", ["", "much", "1, 0: 2", "0.5: 1", "1,,2"])
def test_anything_else_is_no_keyframes(text: str) -> None:
    with pytest.raises(InputError, match="frame: value pairs"):
        parse_keyframes(text)
