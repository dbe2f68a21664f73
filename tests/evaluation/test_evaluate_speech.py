"""Command ``evaluate speech``: from a model that hears to tables, report, page and sheet."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from megactor_core.cli.main import main
from megactor_core.evaluation.speech.drives import PARTS, SpeakingPuppet, SpokenDrive, speaking_puppet
from megactor_core.evaluation.speech.reading import SpeechReading, read_speech
from megactor_core.evaluation.speech.scores import SpeechScores
from megactor_core.media.pictures import Images, load_picture
from megactor_core.puppets.motion import MOUTH_COLUMNS
from megactor_core.puppets.speaking import sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.vision.modes.registry import MODES
from megactor_core.weights.random_model import write_random_model

SPEECH = Path(__file__).resolve().parents[1] / "data" / "speech.npz"


@pytest.fixture(scope="module")
def hearing_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sigma"
    write_random_model("megactor-sigma", folder)
    return folder


def evaluate(model: Path, *arguments: str, speech: Path = SPEECH) -> int:
    fixed = (
        "--model",
        str(model),
        "--speech",
        str(speech),
        "--steps",
        "1",
        "--device",
        "cpu",
        "--clips",
        "1",
    )
    try:
        return main(["evaluate", "speech", *fixed, "--frames", "20", "--guidance", "1", *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_tables_report_page_and_sheet(
    hearing_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {flag: tmp_path / f"report.{flag}" for flag in ("json", "png", "html")}
    flags = ("--output", str(paths["json"]), "--sheet", str(paths["png"]), "--page", str(paths["html"]))
    assert evaluate(hearing_model, "--fit-frames", "3", "--bound-clips", "1", *flags) == 0
    report = json.loads(paths["json"].read_text())
    measures = report["measures"]
    assert set(measures) == {"mouth", "lag", "closure", "stillness", "rest", *PARTS} - {"speech"}
    # the spoken truth can be read, what random weights paint cannot
    assert measures["mouth"]["mouth_open"]["truth"]["mean"] > 0.95
    assert measures["lag"]["truth"]["counts"][5] == 1
    assert (
        measures["stillness"]["truth_silence"]["mean"] < 0.05 < measures["stillness"]["truth_speech"]["mean"]
    )
    assert report["settings"]["driving_mode"] == "eyes" and report["settings"]["shown_mode"] == "eyes_mouth"
    clip = report["clips"][0]
    assert clip["voice"] and len(clip["truth"]) == len(clip["read"]["own"]) == len(clip["loudness"])
    assert load_picture(paths["png"]).shape == (4 * 64, 9 * 64, 3)
    page = paths["html"].read_text()
    assert page.count("<svg") == 3 and clip["text"] in page
    table = capsys.readouterr().out
    assert "shortcut index" in table and "lag of the opening" in table


def test_the_shortcut_alone_animates_once(hearing_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    arguments = ("--parts", "shortcut", "--bound-clips", "0", "--fit-frames", "3")
    assert evaluate(hearing_model, *arguments, "--output", str(path)) == 0
    report = json.loads(path.read_text())
    assert set(report["measures"]) == {"shortcut"} and set(report["clips"][0]["read"]) == {"silent"}


def openings(reading: SpeechReading) -> tuple[np.ndarray, np.ndarray]:
    """Of the frames with their own sound, and of the truth."""
    return reading.mouths["own"][:, 0], reading.motion[reading.at, MOUTH_COLUMNS[0]]


def test_painted_frames_are_read_as_what_they_show() -> None:
    corpus = SpeechCorpus.read(SPEECH)
    clips = [sample_speaking_clip(0, index, 30, corpus, "held-out") for index in (0, 20, 1)]
    readings = []
    for own, other in pairwise(clips):
        puppet = speaking_puppet(own, other, 64, MODES["eyes"], MODES["eyes_mouth"], ("speech",))

        def paint(spoken: SpokenDrive, puppet: SpeakingPuppet = puppet) -> Images:
            return puppet.truth_frames if spoken.drive.sound.any() else puppet.rest_frames

        reading, _ = read_speech(0, own.utterance, puppet, paint, lambda frames: frames, 3, False)
        assert reading.psnr["own"] == 100 and reading.psnr["silent"] > 40 > reading.psnr["copy"]
        readings.append(reading)
    scores = SpeechScores(readings, 0)
    opening = scores.mouth()["mouth_open"]
    assert opening["own"]["mean"] > 0.98 and scores.lag()["own"]["median"] == 0
    read, true = (np.concatenate(one) for one in zip(*map(openings, readings), strict=True))
    assert np.corrcoef(read, true)[0, 1] >= 0.99
    assert scores.closure()["own"]["mean"] == 1
    assert scores.stillness()["silence"]["mean"] < 0.05 < scores.stillness()["speech"]["mean"]


def test_a_hidden_mouth_is_not_shown_and_a_shown_one_is() -> None:
    corpus = SpeechCorpus.read(SPEECH)
    own, other = (sample_speaking_clip(0, index, 20, corpus, "held-out") for index in (0, 1))
    puppet = speaking_puppet(own, other, 64, MODES["eyes"], MODES["eyes_mouth"])
    drives = {name: spoken.drive for name, spoken in puppet.drives.items()}
    grey = {name: drive.shown["driving"] for name, drive in drives.items()}
    for name in ("shuffled", "silent", "amplitude_0"):
        np.testing.assert_array_equal(grey[name], grey["own"])
    assert (grey["shown"] > 0).sum() > 1.2 * (grey["hidden"] > 0).sum()
    assert not drives["silent"].sound.any() and not drives["shown"].sound.any()
    np.testing.assert_array_equal(drives["hidden"].sound, own.sound)
    np.testing.assert_array_equal(drives["shuffled"].sound, other.sound)
    assert drives["own"].start * 16000 == round(own.start * 16000)
    assert drives["amplitude_1.5"].speech == 1.5


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--frames", "19"), "--frames 19: is too few to read a lag"),
        (("--frames", "49", "--fit-frames", "6"), "Give 60"),
        (("--driving-mode", "plain"), "driving mode plain: is not for a model"),
        (("--output", "report.txt"), "report.txt"),
        (("--page", "nowhere/report.html"), "report.html"),
        (("--parts", "singing"), "invalid choice: 'singing'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    hearing_model: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    assert evaluate(hearing_model, *arguments) == 2
    told = capsys.readouterr().err
    assert problem in told and told.count("\n") == 1


def test_a_model_that_hears_nothing_and_a_missing_corpus_are_refused_in_one_line(
    model_folder: Path, hearing_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model_folder) == 2
    told = capsys.readouterr().err
    assert "hears nothing" in told and told.count("\n") == 1
    assert evaluate(hearing_model, speech=tmp_path / "nothing.npz") == 2
    told = capsys.readouterr().err
    assert "nothing.npz" in told and "dataset speech" in told and told.count("\n") == 1
