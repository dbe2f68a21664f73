"""The command line as a whole: light to start, helpful, one line for every error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from megactor_core.cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "diffusers", "transformers", "cv2", "av", "mediapipe", "scipy"}


def loaded_by(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_the_import_loads_nothing_heavy() -> None:
    assert not loaded_by("import megactor_core") & HEAVY


def test_the_help_loads_nothing_heavy() -> None:
    program = (
        "from megactor_core.cli.main import main\n"
        "for arguments in (['--help'], ['animate', '--help'], ['weights', '--help']):\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code\n"
    )
    assert not loaded_by(program) & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"python -m megactor_core {command}" in text
    assert len(text.splitlines()) > 8


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"    {command} " in text for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["animat"],
        ["animate"],
        ["weights"],
        ["weights", "fetch"],
        ["puppets", "--output", "p", "--size", "7"],
    ],
)
def test_wrong_usage_is_one_line_with_the_way_to_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    text = capsys.readouterr().err
    assert stop.value.code == 2
    assert text.startswith("error: ") and text.count("\n") == 1 and "--help" in text


def test_errors_of_other_commands_are_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "verify", str(tmp_path / "nothing")]) == 2
    assert main(["weights", "download", "everything"]) == 2
    assert main(["train", "--config", str(tmp_path / "none.yaml"), "--output", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "megactor_core", "animate", "--reference", "a.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
