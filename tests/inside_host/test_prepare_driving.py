"""Prepare Driving: as many conditions as frames, the sound that is theirs, frames without a face told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl
from driver_widgets import prepare
from face_values import bounding_box, face_landmarks
from media.media_files import beep, make_video
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.media.reading import open_driving
from megactor_pack.megactor_core.vision.driving import prepare_driving
from megactor_pack.nodes.host.portrait_model import PortraitModel
from PIL import Image

NUM_FRAMES = 20
FACE = (30.0, 20.0, 50.0, 44.0)


@pytest.fixture(autouse=True)
def host_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "megactor", ([str(tmp_path)], {".ckpt"}))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that differs from frame to frame, 96x80 at 25 a second, with a tone at 0.4 s."""
    random = np.random.default_rng(0)
    images = [random.integers(40, 255, (80, 96, 3), dtype=np.uint8) for _ in range(NUM_FRAMES)]
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return make_video(path, images, sound=beep(0.8, 0.4), codec="ffv1", pix_fmt="bgr0")


@pytest.fixture
def video(clip: Path) -> InputImpl.VideoFromFile:
    return InputImpl.VideoFromFile(str(clip))


def seen(condition: torch.Tensor) -> list[float]:
    """Share of each frame that is not black."""
    return (condition[..., 0] > 0).float().mean(dim=(1, 2)).tolist()


def test_as_many_conditions_as_frames_and_just_what_the_core_makes(
    model: PortraitModel, clip: Path, video: InputImpl.VideoFromFile
) -> None:
    condition, frame_rate, audio, report, num_frames, patches = prepare(model, video=video).args
    assert condition.shape == (NUM_FRAMES, model.size, model.size, 3)
    assert (frame_rate, num_frames, patches) == (25.0, NUM_FRAMES, None)
    assert report == "20 frames of 96x80, 25 a second"
    assert audio["waveform"].shape[-1] == pytest.approx(0.8 * audio["sample_rate"], abs=2000)
    expected = prepare_driving(open_driving(clip), model.size, crop="whole")
    for ours, core in zip(condition, expected.conditions(), strict=True):
        for channel in range(3):
            assert np.array_equal(ours[..., channel].numpy(), core / np.float32(255))


def test_of_unevenly_spaced_frames_each_is_used_that_is_shown_at_its_time(
    model: PortraitModel, tmp_path: Path
) -> None:
    levels = [40, 80, 120, 160, 200, 240]
    images = [np.full((64, 64, 3), level, np.uint8) for level in levels]
    stamps = [0, 1, 2, 3, 9, 10]
    path = make_video(
        tmp_path / "a.mkv",
        images,
        10,
        pts=stamps,
        time_base=Fraction(1, 10),
        codec="ffv1",
        pix_fmt="bgr0",
        sound=beep(1.2, 0.9),
    )
    video = InputImpl.VideoFromFile(str(path))
    condition, frame_rate, audio, report, num_frames, _ = prepare(model, video=video).args
    source = open_driving(path)
    assert num_frames == len(condition) == 6 and frame_rate == pytest.approx(6 / source.duration)
    shown = [stamps.index(max(stamp for stamp in stamps if stamp <= 10 * k / frame_rate)) for k in range(6)]
    assert shown != list(range(6))
    expected = [levels[number] / 255 for number in shown]
    assert condition.mean(dim=(1, 2, 3)).tolist() == pytest.approx(expected, abs=0.01)
    assert "unevenly spaced" in report
    tone = torch.nonzero(audio["waveform"][0, 0].abs() > 0.2)[0].item() / audio["sample_rate"]
    assert tone == pytest.approx(0.9, abs=0.03)
    part, _, _, _, num_frames, _ = prepare(model, video=video, start_frame=4).args
    assert num_frames == 2 and part[0].mean().item() == pytest.approx(200 / 255, abs=0.01)


def test_images_drive_like_the_video_they_are_of(
    model: PortraitModel, video: InputImpl.VideoFromFile
) -> None:
    images = video.get_components().images
    of_images = prepare(model, images=images, frame_rate=float(Fraction(30000, 1001))).args
    of_video = prepare(model, video=video).args
    assert (of_images[0] - of_video[0]).abs().max() < 1.01 / 255
    assert of_images[1] == pytest.approx(30000 / 1001)
    assert of_images[2] is None


def test_a_part_with_just_its_sound(model: PortraitModel, video: InputImpl.VideoFromFile) -> None:
    whole = prepare(model, video=video).args[0]
    condition, _, audio, report, num_frames, _ = prepare(
        model, video=video, start_frame=5, max_frames=10
    ).args
    assert torch.equal(condition, whole[5:15])
    assert num_frames == 10
    assert "10 frames" in report and "from frame 5 of 20 on" in report
    rate = audio["sample_rate"]
    assert audio["waveform"].shape == (1, 1, round(0.4 * rate))
    tone = torch.nonzero(audio["waveform"][0, 0].abs() > 0.2)[0].item() / rate
    assert tone == pytest.approx(0.2, abs=0.005)
    assert prepare(model, video=video, start_frame=15, max_frames=100).args[4] == 5


def test_a_trimmed_video_is_taken_as_it_is(model: PortraitModel, video: InputImpl.VideoFromFile) -> None:
    whole = prepare(model, video=video).args[0]
    trimmed = video.as_trimmed(0.2, 0.4)
    assert torch.equal(prepare(model, video=trimmed, start_frame=1).args[0], whole[6:15])


def test_the_strip_shows_eight_frames_above_their_conditions(
    model: PortraitModel, video: InputImpl.VideoFromFile
) -> None:
    shown = prepare(model, video=video).ui.as_dict()["images"]
    picture = Image.open(Path(folder_paths.get_temp_directory()) / shown[0]["filename"])
    assert picture.size == (4 * 164 - 4, 4 * 164 - 4)


def test_faces_of_the_hosts_nodes_are_followed(model: PortraitModel, video: InputImpl.VideoFromFile) -> None:
    boxes = [[bounding_box(FACE)] for _ in range(NUM_FRAMES)]
    boxes[3] = boxes[4] = []
    condition, _, _, report, _, _ = prepare(model, video=video, bounding_boxes=boxes).args
    assert "face not found in 2 of 20 frames (3-4): the last box was held" in report
    assert all(0 < share < 1 for share in seen(condition))
    passed = prepare(model, video=video, bounding_boxes=boxes, lost_face="pass").args[0]
    assert [index for index, share in enumerate(seen(passed)) if share == 1] == [3, 4]
    later = prepare(model, video=video, bounding_boxes=boxes, start_frame=2).args[3]
    assert "2 of 18 frames (1-2)" in later and "frame 2 of 20 on, which counts as frame 0" in later
    landmarks = face_landmarks([[FACE]] * NUM_FRAMES, (80, 96))
    assert "in all 20 frames" in prepare(model, video=video, face_landmarks=landmarks).args[3]
    one_box = prepare(model, video=video, bounding_boxes=bounding_box(FACE)).args[3]
    assert "in all 20 frames" in one_box


def test_contour_shows_patches_and_moves_them_onto_the_portrait(
    model: PortraitModel, video: InputImpl.VideoFromFile
) -> None:
    inputs = {"mode": "contour", "video": video, "crop": "whole"}
    landmarks = face_landmarks([[FACE]] * NUM_FRAMES, (80, 96))
    still = prepare(model, face_landmarks=landmarks, **inputs).args[0]
    assert all(0 < share < 1 for share in seen(still))
    size = model.size
    portrait = face_landmarks([[(10, 10, size - 10, size - 10)]], (size, size))
    moved = prepare(model, face_landmarks=landmarks, portrait_landmarks=portrait, **inputs).args[0]
    assert sum(seen(moved)) > sum(seen(still))
    # Boxes choose no face here: they come without landmarks.
    boxes = bounding_box((0, 0, 9, 9))
    same = prepare(model, face_landmarks=landmarks, bounding_boxes=boxes, **inputs).args[0]
    assert torch.equal(same, still)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"video": None}, "Link video, or a batch to images"),
        ({"images": torch.zeros(2, 8, 8, 3)}, "both are linked"),
        ({"crop": "face"}, "crop face: nothing tells where the face is"),
        ({"start_frame": 20}, r"clip\.mkv: frames 20 to 20 are none of its 20"),
        ({"mode": "contour"}, r"mode contour: needs the driver's face landmarks\. Link face_landmarks"),
        ({"bounding_boxes": [[], []]}, "bounding boxes: they are of 2 frames, this node gets 20"),
        ({"size": 20}, "must be a multiple of 8"),
        (
            {"crop": "face", "bounding_boxes": [[]] * NUM_FRAMES},
            "Link face_landmarks or boxes that hold a face",
        ),
    ],
)
def test_what_cannot_be_used_is_said(
    model: PortraitModel, video: InputImpl.VideoFromFile, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(model, **{"video": video, **inputs})


def test_a_cancel_takes_effect(model: PortraitModel, video: InputImpl.VideoFromFile) -> None:
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        prepare(model, video=video)
