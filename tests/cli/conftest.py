"""A tiny model, a portrait and a driver in a folder of their own, and the command line run on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_model import write_driver, write_portrait, write_tiny_model

from megactor_core.cli.main import main


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_portrait(folder / "portrait.png")
    write_driver(folder / "driver.mp4", 10, sound=True)
    return folder


@dataclass(frozen=True)
class Job:
    """The arguments of ``animate`` and what is in the folder before."""

    folder: Path
    arguments: dict[str, str]

    @property
    def output(self) -> Path:
        return Path(self.arguments["--output"])

    def run(self, *flags: str, **options: object) -> int:
        """Run ``animate``; ``options`` replace arguments (driving_crop="whole"), None leaves one out."""
        arguments = {**self.arguments, **{f"--{k.replace('_', '-')}": v for k, v in options.items()}}
        given = [str(part) for pair in arguments.items() if pair[1] is not None for part in pair]
        try:
            return main(["animate", *given, *flags])
        except SystemExit as stop:
            return int(stop.code or 0)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def job(tmp_path: Path, tiny_model_folder: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    # The user's own models folder must not matter.
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "no_models"))
    for path in pristine.iterdir():
        shutil.copy(path, tmp_path)
    return Job(
        tmp_path,
        {
            "--reference": str(tmp_path / "portrait.png"),
            "--driving": str(tmp_path / "driver.mp4"),
            "--output": str(tmp_path / "result.mp4"),
            "--model": str(tiny_model_folder),
            "--crop": "whole",
            "--device": "cpu",
        },
    )


@pytest.fixture
def refused(job: Job, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``animate``, expect one line of refusal and an untouched folder; returns the line."""

    def run(*flags: str, **options: object) -> str:
        before = job.files()
        status = job.run(*flags, **options)
        captured = capsys.readouterr()
        assert status == 2, captured
        assert captured.out == ""
        assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
        assert job.files() == before
        return captured.err

    return run
