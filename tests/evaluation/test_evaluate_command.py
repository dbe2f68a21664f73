"""Command ``evaluate``: from a model folder to table, report and sheet."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from megactor_core.animator import Animator
from megactor_core.cli.main import main
from megactor_core.evaluation.puppets.drives import DRIVES
from megactor_core.evaluation.puppets.evaluate import EvaluationSettings
from megactor_core.evaluation.puppets.validation import measure_puppets
from megactor_core.families.registry import FAMILIES
from megactor_core.media.pictures import load_picture
from megactor_core.puppets.motion import MOTION_NAMES
from megactor_core.weights.random_model import write_random_model


def evaluate(model: Path, *arguments: str) -> int:
    fixed = ("--model", str(model), "--frames", "3", "--steps", "1", "--device", "cpu")
    try:
        return main(["evaluate", "puppets", *fixed, *arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_table_report_and_sheet(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_path, sheet = tmp_path / "report.json", tmp_path / "sheet.png"
    arguments = ("--clips", "2", "--seed", "4", "--fit-frames", "2", "--output", str(report_path))
    assert evaluate(model_folder, *arguments, "--sheet", str(sheet)) == 0

    report = json.loads(report_path.read_text())
    digest = hashlib.sha256((model_folder / "denoiser.safetensors").read_bytes()).hexdigest()
    assert report["model"]["sha256"]["denoiser.safetensors"] == digest
    assert report["settings"]["seed"] == 4 and report["settings"]["sampling"]["guidance_scale"] == 2
    means, clips = report["means"], report["clips"]
    assert set(means["psnr"]) == {*DRIVES, "autoencoder", "copy"} == set(means["ssim"])
    assert len(clips) == 2
    assert means["psnr"]["cross"] == pytest.approx(sum(clip["psnr"]["cross"] for clip in clips) / 2)
    assert means["gain"]["over_copy"] == pytest.approx(means["psnr"]["cross"] - means["psnr"]["copy"])
    leakage = means["leakage"]
    assert leakage["above_truth"] == pytest.approx(leakage["outputs"] - means["psnr"]["cross"])
    assert means["sharpness_ratio"] == means["sharpness"]["output"] / means["sharpness"]["truth"]
    axes = report["face_axes"]
    assert set(axes) == {"output", "autoencoder", "truth"}
    assert axes["truth"]["width"]["error"] < 1 and axes["truth"]["height"]["error"] < 2
    # an unmoved portrait has the right face in the wrong place
    assert means["identity"]["autoencoder_over_shape"] != means["identity"]["copy_over_shape"]
    assert set(means["stillness"]) == {"output", "autoencoder"}
    assert means["static_flicker"]["truth"] == 0 < means["flicker"]["truth"]
    assert set(report["motion"]) == {"output", "autoencoder", "truth"}
    assert set(report["motion"]["truth"]) == set(MOTION_NAMES)
    # the motion of the truth can be read, that of random weights cannot
    assert report["motion"]["truth"]["yaw"] > 0.95

    assert load_picture(sheet).shape == (2 * 3 * 64, 4 * 64, 3)
    table = capsys.readouterr().out
    assert f"{means['psnr']['cross']:.2f}" in table and "mouth_open" in table
    assert f"{means['stillness']['output']:.2f}" in table and f"{means['sharpness_ratio']:.2f}" in table


def test_more_clips_do_not_change_the_first_and_runs_agree(model_folder: Path, tmp_path: Path) -> None:
    reports = []
    for name, clips in (("a", "1"), ("b", "2")):
        path = tmp_path / f"{name}.json"
        assert evaluate(model_folder, "--clips", clips, "--fit-frames", "0", "--output", str(path)) == 0
        reports.append(json.loads(path.read_text()))
    assert reports[0]["clips"][0] == reports[1]["clips"][0]
    assert reports[0]["motion"] == {}


def test_a_stretched_driver_is_tried_on_request(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert evaluate(model_folder, "--clips", "1", "--scale-leak", "--output", str(path)) == 0
    leak = json.loads(path.read_text())["scale_leak"]
    assert set(leak) == {"wide", "narrow", "reader", "correlation"}
    # what a whole leak would be read as
    assert leak["reader"]["width"]["mean"] == pytest.approx(20, abs=4)
    assert abs(leak["reader"]["height"]["mean"]) < 4
    assert evaluate(model_folder, "--clips", "1", "--scale-leak", "--fit-frames", "0") == 2


def test_a_training_run_logs_the_numbers_of_the_report(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert evaluate(model_folder, "--clips", "2", "--fit-frames", "0", "--output", str(path)) == 0
    means = json.loads(path.read_text())["means"]
    animator = Animator.from_pretrained(model_folder, device="cpu")
    sampling = animator.settings(num_inference_steps=1, seed=0)
    numbers, pictures = measure_puppets(animator, EvaluationSettings(0, 2, 3, 64, "face", 0, sampling))
    assert numbers["psnr/cross"] == means["psnr"]["cross"]
    assert numbers["gain/over_copy"] == means["gain"]["over_copy"]
    assert numbers["static_flicker_ratio"] == means["static_flicker_ratio"]
    assert [len(clip.output) for clip in pictures] == [3, 3]


def test_the_whole_frame_and_another_size_can_be_asked_for(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    arguments = ("--clips", "1", "--fit-frames", "0", "--driving-condition", "whole", "--size", "72")
    assert evaluate(model_folder, *arguments, "--output", str(path)) == 0
    settings = json.loads(path.read_text())["settings"]
    assert settings["driving_condition"] == "whole" and settings["size"] == 72


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_measured_in_every_mode_it_has(family: str, tmp_path: Path) -> None:
    config = write_random_model(family, tmp_path / "model")
    arguments = ("--clips", "1", "--fit-frames", "0", "--overwrite")
    for mode in (None, *config.driving_modes):
        path = tmp_path / "report.json"
        given = () if mode is None else ("--driving-mode", mode)
        assert evaluate(tmp_path / "model", *arguments, *given, "--output", str(path)) == 0
        report = json.loads(path.read_text())
        assert report["settings"]["driving_mode"] == (mode or config.driving_modes[0])
        assert ("sound" in report) == (config.audio_encoder is not None)
        assert set(report["means"]["psnr"]) == {*DRIVES, "autoencoder", "copy"}


def test_a_mode_that_is_not_the_models_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_random_model("xportrait", tmp_path / "model")
    for arguments, problem in (
        (("--driving-mode", "plain"), "driving mode plain: is not for a model of the family xportrait"),
        (("--driving-mode", "nothing"), "driving mode nothing: is not for a model of the family xportrait"),
        (("--driving-condition", "whole"), "--driving-condition whole: does not go with the mode hints"),
    ):
        assert evaluate(tmp_path / "model", "--clips", "1", *arguments) == 2
        told = capsys.readouterr().err
        assert problem in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "subject"),
    [
        ("--clips", "0", "--clips: '0'"),
        ("--frames", "1", "--frames: '1'"),
        ("--steps", "0", "--steps: '0'"),
        ("--seed", "-1", "--seed: '-1'"),
        ("--fit-frames", "-1", "--fit-frames: '-1'"),
        ("--size", "70", "size 70"),
        ("--size", "0", "size 0"),
        ("--model", "nobody", "nobody"),
        ("--device", "abacus", "abacus"),
        ("--output", "report.txt", "report.txt"),
        ("--sheet", "nowhere/sheet.png", "sheet.png"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    model_folder: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, subject: str
) -> None:
    assert evaluate(model_folder, option, value) == 2
    complaint = capsys.readouterr().err
    assert subject in complaint and complaint.count("\n") == 1


def test_a_report_is_not_replaced_unasked(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text("mine")
    assert evaluate(model_folder, "--output", str(path)) == 2
    assert path.read_text() == "mine" and "--overwrite" in capsys.readouterr().err


def test_without_torchmetrics_the_command_says_what_to_install(
    model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "megactor_core.cli.report_files.find_spec",
        lambda name, *rest: None if name == "torchmetrics" else find(name, *rest),
    )
    assert evaluate(model_folder) == 2
    assert "pip install torchmetrics" in capsys.readouterr().err


def test_help_explains_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "puppets", "--help"])
    text = capsys.readouterr().out
    assert "leakage" in text and "Example" in text
