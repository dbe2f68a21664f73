"""The animator: what goes in comes out in length, rhythm, sound and size, and nothing is computed twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import SIZE, portrait_image, tiny_model, write_driver, write_portrait

from megactor_core.animator import Animator
from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.sampling.sampler import Progress
from megactor_core.vision.faces import Face


class FaceAt:
    """A detector that sees the same face in every picture but those of the given numbers."""

    def __init__(self, box: tuple[float, float, float, float] | None, unseen: tuple[int, ...] = ()) -> None:
        self.box, self.unseen, self.calls = box, unseen, 0

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        self.calls += 1
        if self.box is None or self.calls - 1 in self.unseen:
            return ()
        return (Face(self.box, 0.9, np.zeros((5, 2), np.float32)),)


@pytest.fixture
def animator() -> Animator:
    return Animator(tiny_model())


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    return write_driver(folder / "driver.mp4", 13, rate=Fraction(30000, 1001), sound=True)


def test_length_rate_sound_and_size_are_kept(tmp_path: Path, animator: Animator, driver: Path) -> None:
    picture = write_portrait(tmp_path / "portrait.png")
    report = animator.animate(picture, driver, tmp_path / "out.mp4", crop="whole")
    result = open_driving(report.output)
    assert (result.num_frames, report.num_frames) == (13, 13)
    assert result.frame_rate == Fraction(30000, 1001)
    assert (result.width, result.height) == (SIZE, SIZE)
    assert result.has_audio
    assert report.seconds_per_frame == pytest.approx(report.seconds / 13)


def test_sound_is_left_out_on_request(tmp_path: Path, animator: Animator, driver: Path) -> None:
    report = animator.animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole", audio=False)
    assert not open_driving(report.output).has_audio


def test_a_part_of_the_driver(tmp_path: Path, animator: Animator, driver: Path) -> None:
    report = animator.animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole", start=2, stop=-4)
    assert open_driving(report.output).num_frames == report.num_frames == 7


def test_a_single_picture_drives_one_frame(tmp_path: Path, animator: Animator) -> None:
    picture = write_portrait(tmp_path / "portrait.png")
    report = animator.animate(picture, picture, tmp_path / "out.mp4", crop="whole")
    assert open_driving(report.output).num_frames == 1


def test_paste_back_keeps_the_picture_around_the_crop(
    tmp_path: Path, animator: Animator, driver: Path
) -> None:
    picture = portrait_image(81, 97)
    box = (20, 10, 70, 60)
    frames = []
    report = animator.animate(
        picture,
        driver,
        tmp_path / "out.mkv",
        crop=box,
        driving_crop="whole",
        paste=True,
        on_frame=lambda index, frame: frames.append(frame),
    )
    assert report.portrait.crop.box == box
    outside = np.ones(picture.shape[:2], bool)
    outside[box[1] : box[3], box[0] : box[2]] = False
    for frame in frames:
        assert frame.shape == picture.shape
        assert np.array_equal(frame[outside], picture[outside])
        assert not np.array_equal(frame, picture)
    result = open_driving(report.output)
    assert abs(result.width - 97) <= 1 and abs(result.height - 81) <= 1


def test_nothing_is_computed_twice(tmp_path: Path, animator: Animator, driver: Path) -> None:
    counts = {"reference": 0, "driving": 0, "background": 0, "rows": []}
    networks = animator.model.networks

    def count(name: str, amount: object = None) -> object:
        def hook(module: object, inputs: tuple[torch.Tensor, ...]) -> None:
            if name == "rows":
                counts[name].append(inputs[0].shape[0])
            else:
                counts[name] += inputs[0].shape[0] if name == "driving" else 1

        return hook

    networks.reference_network.register_forward_pre_hook(count("reference"))
    networks.denoiser.condition_input_layer.spatial_conv_out.register_forward_pre_hook(count("driving"))
    networks.image_encoder.visual_projection.register_forward_pre_hook(count("background"))
    networks.denoiser.conv_out.register_forward_pre_hook(count("rows"))
    settings = animator.settings(num_inference_steps=3)
    animator.animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole", settings=settings)
    windows = len(range(0, 13, settings.context_length - settings.context_overlap))
    assert windows > 1
    assert (counts["reference"], counts["driving"], counts["background"]) == (3, 13, 1)
    assert counts["rows"] == [2 * settings.context_length] * (3 * windows)

    counts["rows"].clear()
    settings = animator.settings(guidance_scale=1.0)
    animator.animate(portrait_image(), driver, tmp_path / "one.mp4", crop="whole", settings=settings)
    assert set(counts["rows"]) == {settings.context_length}


def test_the_same_seed_gives_the_same_clip(tmp_path: Path, driver: Path) -> None:
    clips = []
    for number, seed in enumerate((5, 5, 6)):
        animator = Animator(tiny_model())
        torch.manual_seed(number)
        frames: list[np.ndarray] = []
        animator.animate(
            portrait_image(),
            driver,
            tmp_path / f"{number}.mp4",
            crop="whole",
            settings=animator.settings(seed=seed),
            on_frame=lambda index, frame, frames=frames: frames.append(frame),
        )
        clips.append(np.stack(frames))
    assert np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])
    assert (tmp_path / "0.mp4").read_bytes() == (tmp_path / "1.mp4").read_bytes()


def test_a_cancelled_clip_leaves_no_file(tmp_path: Path, animator: Animator, driver: Path) -> None:
    seen: list[Progress] = []

    def cancel(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        animator.animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole", on_progress=cancel)
    assert [(p.step, p.window) for p in seen] == [(0, 0), (0, 1)]
    assert list(tmp_path.iterdir()) == []


def test_a_face_lost_on_the_way_is_reported(tmp_path: Path, driver: Path) -> None:
    detector = FaceAt((20, 20, 44, 44), unseen=(4, 5))  # the first picture is the portrait
    animator = Animator(tiny_model(), detector)
    report = animator.animate(portrait_image(64, 64), driver, tmp_path / "out.mp4")
    assert report.num_frames == 13
    assert "2 of 13 frames (3-4)" in report.notes[0]


def test_no_face_names_the_way_out(tmp_path: Path, driver: Path) -> None:
    animator = Animator(tiny_model(), FaceAt(None))
    with pytest.raises(InputError, match="Choose the crop whole, or give a box"):
        animator.animate(portrait_image(), driver, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_never_overwritten(tmp_path: Path, animator: Animator) -> None:
    driver = write_driver(tmp_path / "driver.mp4", 3)
    before = driver.read_bytes()
    with pytest.raises(InputError, match="input of the same job"):
        animator.animate(portrait_image(), driver, driver, crop="whole", overwrite=True)
    assert driver.read_bytes() == before


def test_the_five_steps_on_their_own(animator: Animator, driver: Path) -> None:
    portrait = animator.segment_reference(portrait_image(), crop="whole")
    driving = animator.prepare_driving(open_driving(driver), crop="whole", stop=9)
    conditions = animator.condition(portrait, driving)
    latents = animator.sample(conditions, animator.settings())
    frames = list(animator.decode(latents))
    assert latents.shape == (1, 4, 9, SIZE // 8, SIZE // 8)
    assert len(frames) == 9
    assert frames[0].shape == (SIZE, SIZE, 3) and frames[0].dtype == np.uint8
