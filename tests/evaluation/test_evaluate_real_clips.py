"""Command ``evaluate self``, ``cross`` and ``repeat``: from a folder of clips to a report."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_file import write_pooling
from safetensors.torch import load_file, save_file
from tiny_model import tiny_model, write_driver, write_portrait

from megactor_core.animator import Animator
from megactor_core.cli.main import main
from megactor_core.dataset.shards import write_shard
from megactor_core.evaluation.clips.files import VideoClip
from megactor_core.evaluation.clips.plan import ClipPairing
from megactor_core.evaluation.clips.reenactment import animate_pair, score_clip
from megactor_core.evaluation.clips.request import EvaluationRequest
from megactor_core.evaluation.measures.clip import Instruments
from megactor_core.evaluation.measures.lpips import alexnet_features
from megactor_core.media.reading import open_driving
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import clip_pair
from megactor_core.vision.faces import Face
from megactor_core.weights.random_model import write_random_model

NO_LANDMARKER = "nowhere.task" if importlib.util.find_spec("mediapipe") else "pip install mediapipe"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two puppets, and a file that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        with VideoWriter(folder / f"puppet{index}.mp4", 64, 64, 25) as writer:
            for frame in clip_pair(7, index, 5, 64, "held-out").truth_frames:
                writer.write(frame)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "alexnet.safetensors"
    tensors = alexnet_features().state_dict()
    save_file({f"features.{name}": value for name, value in tensors.items()}, path)
    return path


@pytest.fixture(autouse=True)
def no_models_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "no_models"))


def evaluate(test: str, model: Path, data: Path, output: Path, *options: object) -> int:
    fixed = ("--model", model, "--data", data, "--output", output, "--crop", "whole", "--device", "cpu")
    words = ("--frames", 4, "--steps", 1, *options)
    try:
        return main(["evaluate", test, *map(str, (*fixed, *words))])
    except SystemExit as stop:
        return int(stop.code or 0)


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_self_reenactment(
    model_folder: Path, clips: Path, alexnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report"
    video = write_pooling(tmp_path / "video.onnx", (1, 3, 4, 224, 224), (4, 112, 112))
    options = ("--seed", 3, "--lpips-weights", alexnet, "--fvd-weights", video, "--reference-frame", 1)
    assert evaluate("self", model_folder, clips, output, *options) == 0
    assert sorted(path.name for path in output.iterdir()) == ["clips", "report.html", "report.json"]
    assert open_driving(output / "clips" / "0001.mp4").num_frames == 4

    report = read(output)
    assert set(report["means"]) == {"psnr", "ssim", "lpips", "temporal_lpips", "fvd"}
    assert [clip["driver"] for clip in report["clips"]] == ["puppet0.mp4", "puppet1.mp4"]
    assert report["rejected"][0]["name"] == "broken.mp4" and len(report["rejected"]) == 1
    psnr = report["means"]["psnr"]
    values = [clip["measures"]["psnr"] for clip in report["clips"]]
    assert psnr["output"]["mean"] == pytest.approx(np.mean([value["output"] for value in values]))
    assert psnr["gain"]["mean"] == pytest.approx(psnr["output"]["mean"] - psnr["copy"]["mean"])
    # the reference frame, in which the copy is perfect, does not count
    assert psnr["copy"]["mean"] < 40
    # a copy does not change over time; the random model's output has little to do with the truth
    assert report["means"]["lpips"]["copy"]["mean"] < report["means"]["lpips"]["output"]["mean"]
    assert report["means"]["fvd"]["copy"]["mean"] < report["means"]["fvd"]["output"]["mean"]
    assert {"model: denoiser.safetensors", "lpips_weights", "fvd_weights"} <= set(report["files"])
    assert any("mediapipe" in note or "landmarker" in note for note in report["notes"])

    table = capsys.readouterr().out
    assert "broken.mp4 is not a video" in table and f"{psnr['output']['mean']:.2f}" in table
    assert str(output / "report.html") in table


def test_a_measure_without_a_value_is_told(
    model_folder: Path, clips: Path, alexnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {name: tensor * float("nan") for name, tensor in load_file(alexnet).items()}
    save_file(weights, tmp_path / "alexnet.safetensors")
    options = ("--lpips-weights", tmp_path / "alexnet.safetensors")
    assert evaluate("self", model_folder, clips, tmp_path / "report", *options) == 0
    report = read(tmp_path / "report")
    assert set(report["means"]) == {"psnr", "ssim"}
    assert "LPIPS: 2 of 2 clips have no value" in report["notes"]
    assert "LPIPS: 2 of 2 clips have no value" in capsys.readouterr().out


def test_clips_of_shards_count_like_files(model_folder: Path, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with write_shard(tmp_path / "data" / "shard.tar") as shard:
        for index in range(2):
            shard.write(f"puppet{index}", {"mp4": (clips / f"puppet{index}.mp4").read_bytes()})
    for name, data in (("files", clips), ("shards", tmp_path / "data")):
        assert evaluate("self", model_folder, data, tmp_path / name) == 0
    files, shards = (read(tmp_path / name) for name in ("files", "shards"))
    assert [clip["driver"] for clip in shards["clips"]] == ["shard.tar/puppet0", "shard.tar/puppet1"]
    assert files["means"] == shards["means"]
    assert [clip["sha256"] for clip in files["clips"]] == [clip["sha256"] for clip in shards["clips"]]


def test_the_page_needs_nothing_else(model_folder: Path, clips: Path, tmp_path: Path) -> None:
    assert evaluate("self", model_folder, clips, tmp_path / "report") == 0
    page = (tmp_path / "report" / "report.html").read_text()
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", page)
    assert addresses and all(address.startswith(("data:image/jpeg;base64,", "#")) for address in addresses)
    assert page.count("<svg") == 2 and "currentColor" in page and "prefers-color-scheme: dark" in page
    assert "puppet0.mp4" in page and "broken.mp4" in page and "evaluate repeat report.json" in page


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system allows fewer names")
@pytest.mark.parametrize("test", ["self", "cross"])
def test_clips_and_reports_of_any_name(
    model_folder: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: str
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [os.fsdecode(b"caf\xe9.mp4"), "12:30:00.mp4", "\N{GRINNING FACE}" * 61 + ".mp4"]
    Path("data").mkdir()
    for index, name in enumerate(names):
        shutil.copy(clips / f"puppet{index % 2}.mp4", Path("data", name))
    output = Path("r:" + "\N{GRINNING FACE}" * 60)
    assert evaluate(test, model_folder, Path("data"), output) == 0
    assert sorted(clip["driver"] for clip in read(output)["clips"]) == sorted(names)
    assert "12:30:00.mp4" in (output / "report.html").read_text(encoding="utf-8")
    assert len(os.listdir()) == 2


def test_names_of_clips_cannot_break_the_page(model_folder: Path, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(clips / "puppet0.mp4", tmp_path / "data" / "<script>alert(1)<!--.mp4")
    assert evaluate("self", model_folder, tmp_path / "data", tmp_path / "report") == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_cross_reenactment_of_clips_and_of_portraits(model_folder: Path, clips: Path, tmp_path: Path) -> None:
    assert evaluate("cross", model_folder, clips, tmp_path / "a") == 0
    report = read(tmp_path / "a")
    assert [clip["portrait"] for clip in report["clips"]] == ["puppet1.mp4", "puppet0.mp4"]
    assert "psnr" not in report["means"]

    (tmp_path / "portraits").mkdir()
    write_portrait(tmp_path / "portraits" / "me.png")
    assert evaluate("cross", model_folder, clips, tmp_path / "b", "--portraits", tmp_path / "portraits") == 0
    assert [clip["portrait"] for clip in read(tmp_path / "b")["clips"]] == ["me.png", "me.png"]


def test_a_report_can_be_made_again(
    model_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first, again = tmp_path / "first", tmp_path / "again"
    options = ("--reference-frame", "random", "--clips", 1, "--guidance", 1.5, "--seed", 8)
    with monkeypatch.context() as patch:
        patch.chdir(clips.parent)
        assert evaluate("self", model_folder, Path(clips.name), first, *options) == 0
    assert main(["evaluate", "repeat", str(first / "report.json"), "--output", str(again)]) == 0
    assert "all numbers are the same" in capsys.readouterr().out
    for name in ("report.json", "report.html"):
        assert (first / name).read_bytes() == (again / name).read_bytes()

    changed = read(first)
    changed["means"]["psnr"]["output"]["mean"] += 1e-9
    changed["versions"]["torch"] = "1.0"
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    repeat = ("evaluate", "repeat", str(tmp_path / "changed.json"), "--output", str(again), "--overwrite")
    assert main(repeat) == 1
    said = capsys.readouterr().out
    assert "version of torch: 1.0 then" in said and "psnr: " in said.splitlines()[-1]


def test_other_clips_or_weights_are_not_a_repetition(
    model_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = tmp_path / "data", tmp_path / "model"
    shutil.copytree(clips, data)
    shutil.copytree(model_folder, model)
    assert evaluate("self", model, data, tmp_path / "report") == 0
    shutil.copy(data / "puppet1.mp4", data / "puppet0.mp4")
    write_driver(data / "puppet2.mp4", 6, 64)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config, indent=3))
    capsys.readouterr()
    repeat = ("evaluate", "repeat", str(tmp_path / "report" / "report.json"))
    assert main((*repeat, "--output", str(tmp_path / "again"))) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    for part in ("model: config.json", "puppet0.mp4, sha256", "puppet2.mp4, portrait: none then"):
        assert part in complaint
    assert not (tmp_path / "again").exists()


def test_what_is_no_report_cannot_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    for text in ("{", "[]", '{"request": {"test": "self"}}', '{"request": {"protocol": 99}}'):
        path.write_text(text)
        assert main(["evaluate", "repeat", str(path), "--output", str(tmp_path / "again")]) == 2
        assert "is not a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("test", "options", "part"),
    [
        ("self", ("--clips", "0"), "--clips: '0'"),
        ("self", ("--frames", "1"), "--frames: '1'"),
        ("self", ("--stride", "0"), "--stride: '0'"),
        ("self", ("--frames", "99"), "is too short"),
        ("self", ("--reference-frame", "4"), "--reference-frame 4"),
        ("self", ("--reference-frame", "x"), "neither random nor a number"),
        ("self", ("--size", "70"), "size 70"),
        ("self", ("--steps", "0"), "--steps: '0'"),
        ("self", ("--crop", "face"), "face detector"),
        ("self", ("--speech",), "speech: a model of the family megactor cannot use it"),
        ("self", ("--driving-mode", "hints"), "driving mode hints"),
        ("self", ("--face-control", "0.5"), "has no ControlNets"),
        ("self", ("--model", "nobody"), "nobody"),
        ("self", ("--device", "abacus"), "abacus"),
        ("self", ("--data", "nowhere"), "no such folder"),
        ("self", ("--output", "nowhere/report"), "does not exist"),
        ("self", ("--lpips-weights", "nowhere.pth"), "nowhere.pth"),
        ("self", ("--identity-weights", "nowhere.onnx"), "face detector"),
        ("self", ("--fvd-weights", "nowhere.onnx"), "nowhere.onnx"),
        ("self", ("--landmarker", "nowhere.task"), NO_LANDMARKER),
        ("cross", ("--portraits", "nowhere"), "no such folder"),
        ("self", ("--held-out", "1"), "--held-out 1.0: is no share"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_line(
    model_folder: Path,
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    test: str,
    options: tuple[str, ...],
    part: str,
) -> None:
    assert evaluate(test, model_folder, clips, tmp_path / "report", *options) == 2
    complaint = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(complaint) == 1 and part in complaint[0]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_into_the_clips_or_over_other_files(
    model_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("self", model_folder, clips, clips / "report") == 2
    assert "lies in the folder of the clips" in capsys.readouterr().err
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    assert evaluate("self", model_folder, clips, mine, "--overwrite") == 2
    assert (mine / "thesis.txt").read_text() == "mine"
    (mine / "thesis.txt").rename(mine / "report.json")
    assert evaluate("self", model_folder, clips, mine) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert evaluate("self", model_folder, clips, mine, "--overwrite") == 0
    assert read(mine)["clips"]
    (mine / "notes.txt").write_text("mine")
    assert evaluate("self", model_folder, clips, mine, "--overwrite") == 2
    assert (mine / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_full_disk_is_no_fault_of_the_clips(
    model_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        status = evaluate("self", model_folder, clips, tmp_path / "report")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_told_before_any_work(
    model_folder: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    find = importlib.util.find_spec
    hidden = ("torchmetrics", "matplotlib")
    monkeypatch.setattr(
        "megactor_core.cli.report_files.find_spec",
        lambda name, *rest: None if name in hidden else find(name, *rest),
    )
    assert evaluate("self", model_folder, clips, tmp_path / "report") == 2
    assert "pip install torchmetrics matplotlib" in capsys.readouterr().err


class FaceOnBright:
    """A face in the middle of every picture that is not black."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        height, width = image.shape[:2]
        box = (0.3 * width, 0.3 * height, 0.6 * width, 0.6 * height)
        points = np.array([(0.4, 0.4), (0.5, 0.4), (0.45, 0.47), (0.4, 0.53), (0.5, 0.53)], np.float32)
        return (Face(box, points=points * (width, height)),) if image.mean() > 10 else ()


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face detector's file, which no repository holds, is at hand."""
    for module in ("animator", "evaluation.clips.plan", "evaluation.clips.instruments"):
        monkeypatch.setattr(f"megactor_core.{module}.find_detector", lambda *_: FaceOnBright())


@pytest.mark.parametrize(
    ("family", "options"),
    [("megactor-sigma", ("--speech",)), ("xportrait", ("--crop", "squash", "--face-control", "0.5"))],
)
def test_every_family_can_be_evaluated(
    family: str, options: tuple[str, ...], detector: None, tmp_path: Path
) -> None:
    write_random_model(family, tmp_path / "model")
    (tmp_path / "data").mkdir()
    write_driver(tmp_path / "data" / "loud.mp4", 4, sound=True)
    assert evaluate("self", tmp_path / "model", tmp_path / "data", tmp_path / "report", *options) == 0
    report = read(tmp_path / "report")
    assert set(report["means"]) == {"psnr", "ssim", "pose", "face_rate"}
    assert report["request"]["speech"] == ("--speech" in options)
    repeat = ("repeat", str(tmp_path / "report" / "report.json"), "--output", str(tmp_path / "again"))
    assert main(["evaluate", *repeat]) == 0


def face_request(test: str) -> EvaluationRequest:
    animator = Animator(tiny_model())
    return EvaluationRequest(
        test=test, model="tiny", data="clips", frames=3, size=64, crop="face", device="cpu",
        dtype="float32", sampling=animator.settings(num_inference_steps=1),
    )  # fmt: skip


def test_portrait_and_driver_of_a_clip_are_cut_out_by_the_same_square(clips: Path, tmp_path: Path) -> None:
    animator = Animator(tiny_model(), FaceOnBright())
    clip = VideoClip("puppet0.mp4", "puppet0.mp4", clips / "puppet0.mp4")
    pair, request = ClipPairing(clip, clip, 2), face_request("self")
    animated = animate_pair(animator, request, pair, tmp_path / "out.mp4")
    np.testing.assert_array_equal(animated.reference, animated.driver[2])
    scores = score_clip(Instruments(), request, pair, animated)
    assert np.isnan(scores.copy["psnr"]).tolist() == [False, False, True]
    assert np.isfinite(scores.output["psnr"][:2]).all()


class BrightFace:
    """A face where the picture is bright."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        rows, columns = np.nonzero(image.min(axis=2) > 150)
        return (Face((columns.min(), rows.min(), columns.max() + 1.0, rows.max() + 1.0)),)


def test_a_square_that_follows_the_face_is_the_portraits_too(tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    with VideoWriter(path, 320, 90, Fraction(25)) as writer:
        for index in range(12):
            frame = np.full((90, 320, 3), 40, np.uint8)
            frame[30:60, 10 + 25 * index : 35 + 25 * index] = 220
            writer.write(frame)
    clip, request = (
        VideoClip("walk.mp4", "walk.mp4", path),
        face_request("self").model_copy(update={"frames": 12}),
    )
    pair = ClipPairing(clip, clip, 10)
    animated = animate_pair(Animator(tiny_model(), BrightFace()), request, pair, tmp_path / "out.mp4")
    assert any("the square follows the face" in note for note in animated.notes)
    np.testing.assert_array_equal(animated.reference, animated.driver[10])
    assert (animated.driver[:, 32, 32] > 150).all()


def test_clips_without_a_face_are_left_out_and_counted(
    model_folder: Path, clips: Path, detector: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(clips, data)
    with VideoWriter(data / "dark.mp4", 64, 64, 25) as writer:
        for _ in range(4):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    assert evaluate("self", model_folder, data, tmp_path / "report", "--crop", "face") == 0
    report = read(tmp_path / "report")
    assert len(report["clips"]) == 2
    assert [(one["name"], one["reason"]) for one in report["rejected"]][-1] == (
        "dark.mp4",
        "no face was found",
    )
    for name in ("puppet0.mp4", "puppet1.mp4"):
        (data / name).unlink()
    assert evaluate("self", model_folder, data, tmp_path / "none", "--crop", "face") == 2
    assert "no clip can be animated (dark.mp4: no face was found)" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("test", ["self", "cross", "repeat"])
def test_help_tells_what_is_measured(test: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", test, "--help"])
    assert "example" in capsys.readouterr().out
