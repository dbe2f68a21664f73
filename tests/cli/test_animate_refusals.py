"""Command ``animate`` refuses bad input in one line, before any work, and touches nothing."""

from __future__ import annotations

import pickle
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from conftest import Job

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def no_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("bad input was noticed too late")

    monkeypatch.setattr("megactor_core.animation.steps.sample", fail)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("option", ["reference", "driving"])
def test_missing_and_empty_files(job: Job, refused: Refused, option: str) -> None:
    missing, empty = job.folder / "missing.png", job.folder / "empty.png"
    empty.touch()
    assert f"{missing}: there is no such file. Check" in refused(**{option: missing})
    assert f"{empty}: is empty. Give" in refused(**{option: empty})


@pytest.mark.parametrize("option", ["reference", "driving", "mask"])
def test_text_named_png(job: Job, refused: Refused, option: str) -> None:
    path = job.folder / "text.png"
    path.write_text("This is not a picture.\n" * 50)
    assert str(path) in refused(**{option: path})


@pytest.mark.parametrize("option", ["reference", "driving"])
def test_a_truncated_png(job: Job, refused: Refused, option: str) -> None:
    whole = job.folder / "portrait.png"
    path = job.folder / "cut.png"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "cut off" in refused(**{option: path})


@pytest.mark.parametrize("part", [0.1, 0.6])
def test_a_truncated_mp4(job: Job, refused: Refused, part: float) -> None:
    whole = job.folder / "driver.mp4"
    path = job.folder / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    assert "cut off" in refused(driving=path)


def test_a_video_without_frames(job: Job, refused: Refused) -> None:
    path = job.folder / "frameless.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
        container.mux(stream.encode(None))
    assert str(path) in refused(driving=path)


@pytest.mark.parametrize("size", [(0, 0), (30_000, 30_000)])
@pytest.mark.parametrize("option", ["reference", "driving"])
def test_impossible_picture_sizes(job: Job, refused: Refused, option: str, size: tuple[int, int]) -> None:
    path = job.folder / "size.png"
    path.write_bytes(png_of(*size))
    assert str(path) in refused(**{option: path})


def test_no_face(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def detect(self, image: np.ndarray) -> tuple[()]:
            return ()

    monkeypatch.setattr("megactor_core.animator.find_detector", lambda path, folder=None: Blind())
    assert "no face was found. Choose the crop whole, or give a box" in refused(crop="face")
    assert "no face was found. Choose" in refused(crop="whole", driving_crop="face")


def test_no_face_detector(refused: Refused) -> None:
    assert "weights download face-detector, or use --crop whole or a box" in refused(crop="face")
    assert "--driving-crop face: needs the face detector" in refused(crop="0,0,80,80")


def test_a_file_that_is_no_face_detector(job: Job, refused: Refused) -> None:
    path = job.folder / "detector.onnx"
    assert "does not exist" in refused(face_detector=path)
    path.write_bytes(b"not a network" * 100)
    assert f"{path}: not a YuNet face detector" in refused(face_detector=path)


def test_contour_mode_without_a_landmarker(refused: Refused) -> None:
    message = refused(driving_mode="contour")
    assert "pip install mediapipe" in message or "face_landmarker" in message


def test_a_mask_of_another_size(job: Job, refused: Refused) -> None:
    path = job.folder / "mask.png"
    Image.new("L", (50, 40), 255).save(path)
    assert "the mask is 50x40 pixels, the picture 96x80" in refused(mask=path)


def test_outputs_that_cannot_be_written(job: Job, refused: Refused) -> None:
    existing = job.folder / "there.mp4"
    existing.write_text("precious")
    assert "exists already" in refused(output=existing)
    assert "--overwrite" in refused(output=existing)
    assert "its folder does not exist" in refused(output=job.folder / "nowhere" / "a.mp4")
    assert "End the name in .mp4" in refused(output=job.folder / "a.txt")
    (job.folder / "folder.mp4").mkdir()
    assert "is a folder" in refused(output=job.folder / "folder.mp4")
    assert "input of the same job" in refused("--overwrite", output=job.folder / "driver.mp4")
    assert "input of the same job" in refused("--overwrite", sheet=job.folder / "portrait.png")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_a_folder_without_permission(refused: Refused) -> None:
    assert "/proc/a.mp4: cannot be written" in refused(output="/proc/a.mp4")


def test_an_unknown_model(job: Job, refused: Refused) -> None:
    models = "demo, megactor, megactor-sigma, xportrait, megactor-sigma-dit or a model folder"
    assert f"dmeo: is no known model. Use {models}" in refused(model="dmeo")
    assert "weights download megactor" in refused(model="megactor")
    assert "no config.json" in refused(model=job.folder)


@pytest.fixture
def copied_model(job: Job) -> Path:
    return Path(shutil.copytree(job.arguments["--model"], job.folder / "model"))


def test_truncated_weights(copied_model: Path, refused: Refused) -> None:
    path = copied_model / "denoiser.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert str(path) in refused(model=copied_model)
    path.unlink()
    assert f"{path}: is missing" in refused(model=copied_model)


def test_weights_of_another_family(copied_model: Path, refused: Refused) -> None:
    shutil.copy(copied_model / "vae.safetensors", copied_model / "denoiser.safetensors")
    message = refused(model=copied_model)
    assert str(copied_model / "denoiser.safetensors") in message and "autoencoder" in message


def test_weights_that_are_not_numbers(copied_model: Path, refused: Refused) -> None:
    path = copied_model / "denoiser.safetensors"
    state = load_file(path)
    state["conv_in.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, path)
    assert "conv_in.weight holds NaN" in refused(model=copied_model)


def test_pickled_code_is_not_run(job: Job, refused: Refused) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (job.folder / "trapped",)

    path = job.folder / "model.ckpt"
    torch.save({"state_dict": {"weight": torch.ones(2)}, "extra": Trap()}, path)
    assert f"{path}: contains Python code" in refused(model=path)
    path.write_bytes(pickle.dumps(Trap()))
    assert str(path) in refused(model=path)
    assert not (job.folder / "trapped").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 100}, "size 100: must be a multiple of 8 and at least 64. use 96"),
        ({"size": 0}, "multiple of 8"),
        ({"context_overlap": 8}, "less than the context length 8"),
        ({"context_length": 17}, "longer than the model's 16 temporal positions. use 16 or less"),
        ({"steps": 0}, "--steps: '0' is not a whole number from 1 to 1000"),
        ({"scheduler": "heun"}, "--scheduler: invalid choice: 'heun'"),
        ({"guidance": "nan"}, "--guidance: 'nan' is not a number from 0 to 100"),
        ({"seed": -1}, "from 0"),
        ({"steps": "many"}, "--steps: 'many' is not a whole number from 1 to 1000"),
        ({"crop": "1,2,3"}, "neither face nor whole nor squash nor left,top,right,bottom"),
        ({"crop": "0,0,0,10", "driving_crop": "whole"}, "it is empty"),
        ({"crop": "500,500,600,600", "driving_crop": "whole"}, "outside the 96x80 picture"),
        ({"face": "biggest"}, "neither largest nor a number from 0 nor a point x,y"),
        ({"smoothing": "1"}, "from 0 to below 1"),
        ({"start": 10}, "leave none of the 10 frames"),
        ({"stop": "-1"}, "whole number from 0"),
        ({"device": "quantum"}, "device quantum: cannot be used"),
        ({"reference": None}, "--reference"),
    ],
)
def test_values_that_cannot_be_used(refused: Refused, options: dict, text: str) -> None:
    assert text in refused(**options)


def test_more_memory_than_there_is(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise AssertionError("weights were loaded before the estimate")

    monkeypatch.setattr("megactor_core.animation.memory.free_bytes", lambda device: 2**20)
    monkeypatch.setattr("megactor_core.animator.load_model", load)
    message = refused()
    assert "GiB are free. Use a smaller size or context length" in message
