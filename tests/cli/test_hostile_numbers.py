"""Every number on the command line has a range; what lies outside is refused in one line, before any work."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megactor_core.cli.main import build_parser, main

if TYPE_CHECKING:
    from conftest import Job

HOSTILE = ("nan", "inf", "-inf", "-1e30", "1e400", "-" + "9" * 5000, "many", "", "[1, 2]", "1;2", "0x10",
           "1\n2", "1e30", str(2**70))  # fmt: skip
NAMES = re.compile(
    r"\b(VIDEO|PICTURE|SOUND|FOLDER|FILE|PATH|NAME|MODEL|YAML|JSON|TAR|PNG|NPZ|HTML|MODE|ADDRESS)\b|\|"
)
"""What options that take no number are explained with."""
TEXTS = {"--program", "--model", "--prompt", "--device", "--base", "--motion", "--image-encoder", "--vae",
         "--checkpoint", "--output", "--models-folder", "--family", "--context",
         "--audio-encoder"}  # fmt: skip
FILES = {
    "--reference": "examples/portrait.png", "--driving": "examples/driving.mp4", "--output": "o.mp4",
    "--input": "i", "--config": "c.yaml", "--data": "d",
    "--base": "b", "--motion": "m", "--image-encoder": "e", "--model": "demo", "--speech": "s.npz",
}  # fmt: skip


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for name, child in action.choices.items():
            yield from commands(child, (*words, name))
    if not inner:
        yield words, parser


def numeric_options() -> Iterator[tuple[tuple[str, ...], str, argparse.ArgumentParser]]:
    for words, parser in commands(build_parser()):
        for action in parser._actions:
            option = action.option_strings[-1] if action.option_strings else ""
            is_flag = action.nargs == 0 or action.choices is not None or not option
            if is_flag or option in TEXTS or NAMES.search(str(action.metavar)):
                continue
            yield words, option, parser


CASES = {
    f"{' '.join(words)} {option}": (words, option, parser) for words, option, parser in numeric_options()
}


def test_the_walk_finds_the_numbers() -> None:
    for case in (
        "animate --steps", "animate --crop", "animate --driving-crop", "animate --face",
        "animate --speech-amplitude", "animate --face-control", "animate --frame-rate", "animate --smoothing",
        "puppets --frames", "dataset pack --frame-rate", "dataset swap --timeout", "evaluate self --held-out",
        "evaluate puppets --guidance", "weights random --seed", "dataset inspect --first",
    ):  # fmt: skip
        assert case in CASES


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No work can begin: no model is loaded, and the folder of the user's models is empty."""

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("a number was noticed too late")

    monkeypatch.setattr("megactor_core.animator.load_model", fail)
    monkeypatch.setattr("megactor_core.puppets.clips.sample_clip", fail)
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "no_models"))
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which a command line is refused."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, ""), (words, captured)
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_number_is_refused_by_its_option(
    command_line: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    words, option, parser = CASES[case]
    root = Path(__file__).resolve().parents[2]
    required = []
    for action in parser._actions:
        if action.required and option not in action.option_strings:
            name = action.option_strings[-1] if action.option_strings else ""
            required += [name, str(FILES[name])] if name else ["megactor"]
    given = [str(root / word) if word.startswith("examples") else word for word in required]
    given = [str(command_line / word) if word in ("o.mp4", "i", "d") else word for word in given]
    for value in HOSTILE:
        line = refusal(capsys, *words, *given, option, value)
        assert option.lstrip("-").split("-")[0] in line, line
    assert [path for path in command_line.iterdir()] == []


@pytest.mark.parametrize(
    "values",
    [
        {"crop": "nan,0,50,50"}, {"crop": "0,0,inf,50"}, {"crop": "0,0,1e9,1e9"}, {"crop": "1,2,3,4,5"},
        {"driving_crop": "0,0,-inf,50"}, {"driving_crop": "0,nan,50,50"}, {"driving_crop": "-2e5,0,50,50"},
        {"face": "nan,5"}, {"driving_face": "5,inf"}, {"best_frame": "-3"},
        {"speech_amplitude": "0: 1, 25: nan"}, {"head_motion": "1,inf"}, {"expression": "0: 1, 0: 2"},
        {"expression": "1e30"}, {"head_motion": "-1: 1"},
        {"face_control": "nan"}, {"patch_control": "1,0.5,0.2"}, {"face_control": "1e9,0,1"},
        {"lora": "a.safetensors,nan"}, {"lora": "a.safetensors,1e30"}, {"lora": "a.safetensors,-inf"},
        {"frame_rate": "1/0"}, {"frame_rate": "1e999999999"}, {"frame_rate": "0"}, {"frame_rate": "nan"},
        {"size": "99992"}, {"context_length": "0"}, {"steps": "0"}, {"steps": "1001"}, {"seed": str(2**63)},
        {"device": "meta"}, {"device": "cuda:7"}, {"device": "nowhere"}, {"device": "cuda:x"}, {"device": ""},
        {"device": "mps"}, {"device": "hpu"}, {"device": "cuda:-3"},
    ],
    ids=str,
)  # fmt: skip
def test_pairs_lists_and_devices(
    job: Job, capsys: pytest.CaptureFixture[str], command_line: Path, values: dict[str, str]
) -> None:
    (option,) = values
    words = [part for pair in (job.arguments | {}).items() for part in pair]
    refusal(capsys, "animate", *words, f"--{option.replace('_', '-')}", *values.values())
    assert not job.output.exists()


def test_a_box_may_begin_left_of_the_picture(job: Job) -> None:
    assert job.run(crop="-10,-5,90,95", driving_crop="-1,-1.5,60,60", steps=1, guidance=1, size=64) == 0


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpm++2m", "unipc", "lcm"])
def test_more_steps_than_a_scheduler_has_are_refused(
    job: Job, capsys: pytest.CaptureFixture[str], command_line: Path, scheduler: str
) -> None:
    words = [part for pair in job.arguments.items() for part in pair]
    line = refusal(capsys, "animate", *words, "--scheduler", scheduler, "--steps", "1000")
    assert f"steps 1000: are more than the scheduler {scheduler} has for this model. Use fewer" in line


def test_the_longest_argument_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    refusal(
        capsys, "animate", "--reference", "a.png", "--output", "o.mp4", "--cr\nop", "x", os.fsdecode(b"\xe9")
    )
