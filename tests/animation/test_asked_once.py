"""Whatever an animation has to know is asked once, by the command line as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from counted_calls import count_calls
from tiny_model import write_driver, write_portrait

from megactor_core.animation.checks import check_controls, check_motion, checked_mode
from megactor_core.animation.clip import find_clip
from megactor_core.animation.memory import check_memory
from megactor_core.cli.main import main
from megactor_core.files import check_output
from megactor_core.media.reading import open_driving
from megactor_core.media.waveform import read_waveform
from megactor_core.vision.faces import Face
from megactor_core.vision.landmarks import find_landmarker
from megactor_core.vision.person_segmenter import find_segmenter
from megactor_core.weights.loading import read_config
from megactor_core.weights.random_model import write_random_model


class FiveFixedPoints:
    """A detector that sees one face with five points."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        points = np.array([(24, 26), (40, 26), (32, 34), (26, 42), (38, 42)], np.float32)
        return (Face((16, 14, 48, 50), points=points),)


def test_one_animation_with_speech_asks_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random_model("megactor-sigma", tmp_path / "model")
    write_portrait(tmp_path / "portrait.png")
    write_driver(tmp_path / "driver.mp4", num_frames=5, sound=True)
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "no_models"))

    def find_detector(path: Path | None, folder: Path | None = None) -> FiveFixedPoints:
        return FiveFixedPoints()

    find_detector.__module__ = "megactor_core.animator"
    monkeypatch.setattr("megactor_core.animator.find_detector", find_detector)
    asked = (
        *(check_controls, check_memory, check_motion, check_output, checked_mode),
        *(find_clip, find_detector, find_landmarker, find_segmenter),
        *(open_driving, read_config, read_waveform),
    )
    counts = count_calls(monkeypatch, *asked)
    arguments = {
        "--model": tmp_path / "model",
        "--reference": tmp_path / "portrait.png",
        "--driving": tmp_path / "driver.mp4",
        "--output": tmp_path / "result.mp4",
        "--speech": "driving",
        "--crop": "face",
        "--steps": 1,
        "--device": "cpu",
    }
    assert main(["animate", *(str(part) for pair in arguments.items() for part in pair)]) == 0
    assert counts == {function.__name__: 1 for function in asked}
