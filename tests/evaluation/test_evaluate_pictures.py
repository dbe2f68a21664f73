"""Test ``pictures``: what is lost of a picture that drives itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from megactor_core.cli.main import main
from megactor_core.evaluation.measures.pixels import psnr, sharpness
from megactor_core.media.pictures import load_picture, save_picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    across = np.linspace(0, 255, 90).astype(np.uint8)
    save_picture(folder / "gradient.png", np.broadcast_to(across[:, None], (80, 90, 3)).copy())
    noise = np.random.default_rng(0).integers(0, 256, (70, 64, 3), np.uint8)
    save_picture(folder / "more" / "noise.png", noise)
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


def evaluate(*arguments: object) -> int:
    try:
        return main(["evaluate", "pictures", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_table_report_and_sheet(
    model_folder: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_path, sheet_path = tmp_path / "report.json", tmp_path / "sheet.png"
    given = ("--model", model_folder, "--data", pictures, "--crop", "whole", "--steps", 1, "--device", "cpu")
    assert evaluate(*given, "--output", report_path, "--sheet", sheet_path) == 0
    report = json.loads(report_path.read_text())
    assert [one["name"] for one in report["pictures"]] == ["gradient.png", str(Path("more", "noise.png"))]
    sheet = load_picture(sheet_path)
    side = report["settings"]["size"]
    assert sheet.shape == (3 * side, 2 * side, 3)
    for column, one in enumerate(report["pictures"]):
        truth, decoded, output = sheet[:, column * side : (column + 1) * side].reshape(3, 1, side, side, 3)
        assert one["psnr"]["autoencoder"] == pytest.approx(psnr(decoded, truth))
        assert one["sharpness"]["autoencoder"] == pytest.approx(sharpness(decoded) / sharpness(truth))
        # of all frames, of which the sheet has the last
        assert one["psnr"]["output"] == pytest.approx(psnr(output, truth), abs=2)
    shown = capsys.readouterr()
    assert "torn.png: " in shown.out + shown.err
    mean = report["means"]["psnr"]["output"]["mean"]
    assert mean == pytest.approx(np.mean([one["psnr"]["output"] for one in report["pictures"]]))
    assert f"{mean:.2f}" in shown.out
    again = tmp_path / "again.json"
    assert evaluate(*given, "--output", again) == 0 and again.read_bytes() == report_path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--data", "{}/missing"), "there is no such folder"),
        (("--data", "{}", "--output", "report.txt"), "report.txt"),
        (("--data", "{}", "--frames", "0"), "--frames"),
        (("--data", "{}", "--size", "-8"), "--size"),
    ],
)
def test_what_cannot_be_used_is_told_before_work(
    model_folder: Path,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    given = [argument.format(pictures) for argument in arguments]
    assert evaluate("--model", model_folder, "--crop", "whole", *given) == 2
    assert told in capsys.readouterr().err
