"""Animate Portrait: what the core would animate, to the end or not at all, whatever memory there is."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl, Types
from media.media_files import beep, beep_time, grey_images, make_video
from megactor_pack.megactor_core.animator import Animator
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.media.reading import open_driving
from megactor_pack.megactor_core.sampling import decode
from megactor_pack.megactor_core.weights.loading import load_model
from megactor_pack.nodes.animate_portrait import AnimatePortrait
from megactor_pack.nodes.host.animation import HostAnimator
from megactor_pack.nodes.host.images import to_image
from megactor_pack.nodes.host.portrait_model import PortraitModel
from tiny_model import portrait_image

NUM_FRAMES = 11
RATE = Fraction(30000, 1001)
PICTURE = portrait_image(80, 96)
MASK = np.zeros(PICTURE.shape[:2], np.float32)
MASK[20:, 20:70] = 1


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "megactor", ([str(tmp_path)], {".ckpt"}))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    return tmp_path / "temp"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, grey_images(NUM_FRAMES, 80, 64), RATE, sound=beep(NUM_FRAMES / 29.97, 0.2))


def animate(model: PortraitModel, driving: Any, **inputs: Any) -> Path:
    """The file that comes out."""
    widgets = {
        "seed": 7,
        "steps": 0,
        "guidance_scale": 0.0,
        "scheduler": "ddim",
        "context_length": 0,
        "context_overlap": -1,
        "crop": "auto",
        "paste_back": False,
        "size": 0,
        "lost_face": "hold",
        "start_frame": 0,
        "max_frames": 0,
    }
    portrait = to_image(PICTURE)
    if not isinstance(
        driving, Types.VideoComponents | InputImpl.VideoFromFile | InputImpl.VideoFromComponents
    ):
        driving = InputImpl.VideoFromFile(str(driving))
    video = AnimatePortrait.execute(
        model=model, driving=driving, **{"portrait": portrait, **widgets, **inputs}
    ).args[0]
    return Path(video.get_stream_source())


def frames(path: Path) -> np.ndarray:
    return np.stack([image for _, _, image in open_driving(path).frames()])


@pytest.mark.parametrize("paste", [False, True])
def test_every_frame_is_the_cores(
    model: PortraitModel, tiny_folder: Path, clip: Path, tmp_path: Path, paste: bool
) -> None:
    clips = []
    for number, animator in enumerate((Animator(load_model(tiny_folder)), HostAnimator(model))):
        written: list[np.ndarray] = []
        animator.animate(
            PICTURE,
            clip,
            tmp_path / f"{number}.mkv",
            crop="whole",
            mask=MASK,
            paste=paste,
            settings=animator.settings(seed=7),
            on_frame=lambda index, frame, written=written: written.append(frame),
        )
        clips.append(np.stack(written).astype(int))
    assert clips[0].shape == (NUM_FRAMES, *((80, 96) if paste else (64, 64)), 3)
    assert np.abs(clips[0] - clips[1]).max() <= 1


def test_the_result_can_go_back_into_the_picture(model: PortraitModel, clip: Path) -> None:
    result = open_driving(animate(model, clip, mask=torch.from_numpy(MASK)[None], paste_back=True))
    assert (result.width, result.height, result.num_frames) == (96, 80, NUM_FRAMES)


def test_frames_rate_and_sound_are_the_drivers(model: PortraitModel, clip: Path) -> None:
    result = open_driving(animate(model, clip))
    assert (result.num_frames, result.frame_rate) == (NUM_FRAMES, RATE)
    assert beep_time(result.path) == pytest.approx(0.2, abs=0.005)
    part = open_driving(animate(model, clip, start_frame=3, max_frames=6))
    assert (part.num_frames, part.frame_rate) == (6, RATE)
    assert beep_time(part.path) == pytest.approx(0.2 - 3 / RATE, abs=0.005)


def test_drivers_that_are_no_plain_file(model: PortraitModel, clip: Path) -> None:
    in_memory = animate(model, InputImpl.VideoFromFile(BytesIO(clip.read_bytes())))
    assert np.array_equal(frames(in_memory), frames(animate(model, clip)))
    trimmed = animate(model, InputImpl.VideoFromFile(str(clip)).as_trimmed(0.1, 0.2))
    assert open_driving(trimmed).num_frames == 6
    assert beep_time(trimmed) == pytest.approx(0.1, abs=1 / 29)
    components = InputImpl.VideoFromFile(str(clip)).get_components()
    result = open_driving(animate(model, InputImpl.VideoFromComponents(components)))
    assert (result.num_frames, result.frame_rate) == (NUM_FRAMES, RATE)
    assert beep_time(result.path) == pytest.approx(0.2, abs=0.03)


def test_progress_goes_from_start_to_end_with_pictures(
    model: PortraitModel, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, bool]] = []
    hook = lambda value, total, preview, node_id=None: told.append((value, preview is not None))  # noqa: E731
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    animate(model, clip)
    values = [value for value, _ in told]
    assert values == sorted(values) and values[-1] == 1000
    assert sum(shown for _, shown in told) >= 2


@pytest.mark.parametrize("at", [0, 60, 300, 850, 900])
def test_a_cancel_leaves_no_file(
    model: PortraitModel, clip: Path, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    report = comfy.utils.ProgressBar.update_absolute

    def cancel(
        bar: comfy.utils.ProgressBar, value: int, total: int | None = None, preview: Any = None
    ) -> None:
        report(bar, value, total, preview)
        if value >= at:
            comfy.model_management.interrupt_current_processing()

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        animate(model, clip)
    assert list(temporary_folder.iterdir()) == []


def test_too_little_memory_to_decode_changes_nothing(
    model: PortraitModel, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two frames at a time from the beginning: on some processors other batch sizes round differently.
    with monkeypatch.context() as patch:
        patch.setattr(decode, "LATENT_CELLS", 2 * model.config.latent_space.cells(model.size) ** 2)
        expected = frames(animate(model, clip))
    sizes: list[int] = []

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("no room")

    hook = model.vae.first_stage_model.decoder.register_forward_pre_hook(refuse)
    try:
        # previews are decoded as well
        result = frames(animate(model, clip, steps=1))
        again = frames(animate(model, clip))
    finally:
        hook.remove()
    assert result.shape == expected.shape
    assert np.array_equal(again, expected)
    assert max(sizes) > 2 and sizes[-1] <= 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"portrait": torch.zeros(2, 80, 96, 3)}, "portrait: is a batch of 2 pictures"),
        ({"crop": "face"}, "crop face: nothing tells where the face is"),
        ({"mask": torch.zeros(1, 8, 8)}, "mask of 8x8: the picture is 96x80"),
        ({"start_frame": 99}, r"clip\.mp4: frames .* none of its 11"),
        ({"context_length": 8, "context_overlap": 8}, "context overlap 8"),
        ({"size": 20}, "must be a multiple of 8"),
    ],
)
def test_what_cannot_be_used_is_said_and_leaves_no_file(
    model: PortraitModel, clip: Path, temporary_folder: Path, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        animate(model, clip, **inputs)
    assert not temporary_folder.exists() or list(temporary_folder.iterdir()) == []
