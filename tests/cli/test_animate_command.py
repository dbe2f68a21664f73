"""Command ``animate``: what it writes and prints, and how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import write_driver

from megactor_core.animation.animator import AnimationReport, Callbacks
from megactor_core.animation.plan import Plan
from megactor_core.animator import Animator
from megactor_core.cli.progress import AnimationBar
from megactor_core.media.pictures import load_picture
from megactor_core.media.reading import open_driving
from megactor_core.sampling.sampler import Progress
from megactor_core.vision.faces import Face

if TYPE_CHECKING:
    from conftest import Job

ROOT = Path(__file__).resolve().parents[2]


def test_a_clip_and_its_facts(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.run() == 0
    result = open_driving(job.output)
    assert (result.num_frames, result.frame_rate, result.has_audio) == (10, 25, True)
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == str(job.output)
    for fact in ("10 frames", "seconds per frame", "peak memory"):
        assert fact in captured.out
    assert "s/frame" in captured.err


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans of the animations that are run."""
    kept: list[Plan] = []
    run = Animator.run

    def spy(self: Animator, plan: Plan, callbacks: Callbacks) -> AnimationReport:
        kept.append(plan)
        return run(self, plan, callbacks)

    monkeypatch.setattr(Animator, "run", spy)
    return kept


def test_every_option_arrives(job: Job, plans: list[Plan]) -> None:
    mask = np.zeros((80, 96), np.uint8)
    mask[20:60, 30:70] = 255
    Image.fromarray(mask).save(job.folder / "mask.png")
    status = job.run(
        "--open-ends",
        "--paste-back",
        "--no-audio",
        crop="16,8,80,72",
        driving_crop="whole",
        mask=job.folder / "mask.png",
        steps=3,
        guidance=1.5,
        seed=7,
        noise_scale=0.5,
        scheduler="euler",
        context_length=6,
        context_overlap=2,
        window_weights="pyramid",
        size=72,
        start=1,
        stop=9,
        lost="interpolate",
        smoothing=0.5,
        dtype="bfloat16",
        sheet=job.folder / "sheet.png",
    )
    assert status == 0
    (plan,) = plans
    settings = plan.settings
    assert (settings.num_inference_steps, settings.guidance_scale, settings.seed) == (3, 1.5, 7)
    assert (settings.scheduler, settings.context_length, settings.context_overlap) == ("euler", 6, 2)
    assert (settings.closed_loop, settings.window_weights) == (False, "pyramid")
    assert settings.noise_scale == 0.5
    assert (plan.options.crops.crop, plan.driving_crop, plan.size) == ((16, 8, 80, 72), "whole", 72)
    assert (plan.options.driving.lost, plan.options.driving.smoothing) == ("interpolate", 0.5)
    result = open_driving(job.output)
    assert (result.num_frames, result.width, result.height, result.has_audio) == (8, 96, 80, False)


def test_the_models_defaults_hold_where_nothing_is_said(job: Job, plans: list[Plan]) -> None:
    assert job.run(seed=3) == 0
    settings = plans[0].settings
    assert (settings.num_inference_steps, settings.guidance_scale) == (2, 2.0)
    assert (settings.context_length, settings.context_overlap, settings.closed_loop) == (8, 4, True)


def test_a_contact_sheet_shows_reference_driver_and_result(job: Job) -> None:
    sheet = job.folder / "sheet.png"
    assert job.run(sheet=sheet) == 0
    picture = load_picture(sheet)
    height, width = picture.shape[:2]
    assert width > 4 * height  # the reference and eight moments, driver above result
    columns = picture.std(axis=(0, 2)) > 1
    assert 1 + np.count_nonzero(np.diff(columns.astype(int)) == 1) >= 9


def test_faces_are_chosen(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    class TwoFaces:
        def detect(self, image: np.ndarray) -> tuple[Face, ...]:
            points = np.zeros((5, 2), np.float32)
            return (Face((4, 20, 24, 40), 0.9, points), Face((30, 20, 54, 44), 0.8, points))

    boxes = []
    run = Animator.run

    def spy(self: Animator, *arguments: Any) -> AnimationReport:
        report = run(self, *arguments)
        boxes.append(report.portrait.crop.box)
        return report

    monkeypatch.setattr(Animator, "run", spy)
    monkeypatch.setattr("megactor_core.animator.find_detector", lambda path, folder=None: TwoFaces())
    for face in ("largest", "0", "14,30"):
        assert job.run("--overwrite", crop="face", face=face, driving_face=face) == 0
    centers = [(left + right) // 2 for left, _, right, _ in boxes]
    assert centers == [42, 14, 14]


def test_an_existing_output_is_replaced_on_request_only(job: Job) -> None:
    job.output.write_text("precious")
    assert job.run() == 2
    assert job.output.read_text() == "precious"
    assert job.run("--overwrite") == 0
    assert open_driving(job.output).num_frames == 10


def test_a_picture_as_driver_gives_one_frame(job: Job) -> None:
    assert job.run(driving=job.arguments["--reference"], output=job.folder / "still.gif") == 0
    assert open_driving(job.folder / "still.gif").num_frames == 1


def test_stopped_in_a_window_nothing_is_left(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: AnimationBar, progress: Progress) -> None:
        if progress.step == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(AnimationBar, "sampling", stop)
    before = job.files()
    assert job.run() == 130
    assert capsys.readouterr().err == "stopped by the user\n"
    assert job.files() == before


def test_ctrl_c_stops_a_running_job(job: Job) -> None:
    write_driver(job.folder / "long.mp4", 400)
    before = set(job.files())
    arguments = {**job.arguments, "--driving": str(job.folder / "long.mp4"), "--steps": "999"}
    process = subprocess.Popen(
        [sys.executable, "-m", "megactor_core", "animate", *(p for pair in arguments.items() for p in pair)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        # A test that runs in the background may have inherited that the signal is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    output = b""
    while b"sampling" not in output:
        output += process.stderr.read(1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert rest.splitlines()[-1] == b"stopped by the user"
    assert b"Traceback" not in rest
    assert set(job.files()) == before


def test_memory_does_not_grow_with_the_clip(job: Job) -> None:
    peaks = []
    for num_frames in (100, 2000):
        driver = write_driver(job.folder / f"{num_frames}.mp4", num_frames)
        arguments = {
            **job.arguments,
            "--driving": str(driver),
            "--output": str(job.folder / f"out_{num_frames}.mp4"),
            "--steps": "2",
            "--context-length": "16",
        }
        done = subprocess.run(
            [
                *(sys.executable, "-m", "megactor_core", "animate"),
                *(part for pair in arguments.items() for part in pair),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        assert f"{num_frames} frames in" in done.stdout
        peaks.append(int(done.stdout.split("peak memory ")[1].split()[0]))
    assert peaks[1] - peaks[0] <= 200
