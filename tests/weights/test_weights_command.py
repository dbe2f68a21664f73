"""The command ``weights`` from a user's side."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from megactor_core.cli.weights import add_parser, run
from megactor_core.errors import InputError
from megactor_core.weights.catalogue import catalogue
from megactor_core.weights.verify import verify


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return run(parser.parse_args(["weights", *map(str, words)]))


def test_list_shows_every_file_and_what_is_unknown(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    (models / "face_detection_yunet_2023mar.onnx").parent.mkdir(parents=True)
    (models / "face_detection_yunet_2023mar.onnx").write_bytes(b"x")

    assert command("list") == 0

    shown = capsys.readouterr().out
    for known in catalogue():
        assert known.name in shown and known.address in shown and known.purpose in shown
    assert "size unknown" in shown and str(models) in shown
    assert next(line for line in shown.splitlines() if line.startswith("face-detector")).split()[2] == "here"


def test_convert_then_verify(
    official: Callable[..., Path], capsys: pytest.CaptureFixture[str], models: Path
) -> None:
    assert command("convert", official(), "--dtype", "float32") == 0
    assert str(models / "megactor") in capsys.readouterr().out

    assert command("verify", "megactor") == 0
    assert "4 files checked, 0 with a problem" in capsys.readouterr().out

    state = load_file(models / "megactor" / "vae.safetensors")
    state["quant_conv.bias"][0] = torch.nan
    save_file(state, models / "megactor" / "vae.safetensors")
    assert command("verify", models / "megactor") == 1
    assert "quant_conv.bias holds NaN" in capsys.readouterr().out


def test_convert_says_which_keys_came_from_elsewhere(
    official: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = official()
    content = torch.load(root / "checkpoint-steps9000.ckpt")
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if not k.endswith(".pe")}
    torch.save(content, root / "checkpoint-steps9000.ckpt")

    assert command("convert", root) == 0
    assert "position tables were recomputed" in capsys.readouterr().out


def test_verify_finds_a_changed_download(capsys: pytest.CaptureFixture[str], models: Path) -> None:
    models.mkdir()
    (models / "face_detection_yunet_2023mar.onnx").write_bytes(b"not it")

    assert command("verify") == 1
    assert "has 6 bytes instead of 232,589" in capsys.readouterr().out


def test_verify_names_what_a_file_is_and_what_is_wrong_with_one(tmp_path: Path) -> None:
    save_file(
        {"conv_in.weight": torch.ones(2), "condition_input_layer.refer_convs.0.bias": torch.ones(1)},
        tmp_path / "a",
    )
    (tmp_path / "b.ckpt").write_bytes(b"PK\x03\x04 broken")

    (sound,), (broken,) = verify(tmp_path / "a"), verify(tmp_path / "b.ckpt")

    assert sound.problem is None and "a MegActor (v1) denoiser, 2 tensors" in sound.detail
    assert broken.problem == "is damaged or truncated"


def test_verify_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known model"):
        list(verify(tmp_path / "missing"))


@pytest.mark.parametrize(
    "words", [["--help"], ["download", "--help"], ["convert", "--help"], ["verify", "--help"]]
)
def test_every_action_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command(*words)
    assert stop.value.code == 0 and "usage:" in capsys.readouterr().out
