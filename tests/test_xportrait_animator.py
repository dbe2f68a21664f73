"""X-Portrait animates: driver and portrait in, a clip of the driver's length, rate and sound out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_model import portrait_image, tiny_model, write_driver, write_portrait

from megactor_core.animator import Animator
from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.models.conditions import ControlStrength
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.vision.landmarks import Landmarker
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import write_random_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xportrait") / "model"
    write_random_model("xportrait", folder)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_driver(tmp_path_factory.mktemp("driver") / "driver.mp4", num_frames=5, sound=True)


def moving_face() -> Landmarker:
    """Sees a face that moves on with every picture, and none in every third."""
    seen = iter(range(1000))

    def look(image: np.ndarray) -> np.ndarray | None:
        index = next(seen)
        return None if index % 3 == 2 else MEAN_FACE[:, :2] * 2 + (30 + index, 30)

    return look


def frames_of(path: Path) -> np.ndarray:
    return np.stack([image for _, _, image in open_driving(path).frames()]).astype(int)


def animated(folder: Path, driver: Path, output: Path, **options: object) -> np.ndarray:
    animator = Animator(load_model(folder), landmarker=moving_face())
    options = {"crop": "squash", "settings": animator.settings(num_inference_steps=2), **options}
    report = animator.animate(portrait_image(), driver, output, overwrite=True, **options)
    assert report.num_frames == 5
    return frames_of(output)


def test_every_option_changes_the_clip(folder: Path, driver: Path, tmp_path: Path) -> None:
    output, longer = tmp_path / "result.mp4", write_driver(tmp_path / "longer.mp4", num_frames=7)
    clips = {
        "usual": animated(folder, driver, output),
        "off": animated(folder, driver, output, best_frame="off"),
        "third frame": animated(folder, driver, output, best_frame=2),
        "weak face": animated(folder, driver, output, strengths={"face_control": ControlStrength(0.2)}),
        "no patches": animated(folder, driver, output, strengths={"patch_control": ControlStrength(0)}),
        "started elsewhere": animated(folder, driver, output, start_video=longer),
        "two pictures": animated(folder, driver, output, more_references=[portrait_image(70, 50)[:, ::-1]]),
    }
    written = open_driving(output)
    assert (written.num_frames, written.frame_rate, written.has_audio) == (5, 25, True)
    names = list(clips)
    for index, name in enumerate(names):
        for other in names[:index]:
            assert np.abs(clips[name] - clips[other]).max() > 0, (name, other)
    assert np.array_equal(animated(folder, driver, output), clips["usual"])


def test_a_box_is_one_of_the_first_picture(folder: Path, driver: Path, tmp_path: Path) -> None:
    large, small = portrait_image(200, 180), portrait_image(70, 50)
    animator = Animator(load_model(folder))
    report = animator.animate(
        large,
        driver,
        tmp_path / "result.mp4",
        crop=(110, 100, 190, 180),
        driving_crop="whole",
        more_references=[small],
        settings=animator.settings(num_inference_steps=1, guidance_scale=1),
    )
    assert report.portrait.crop.box == (110, 100, 190, 180)
    assert report.num_frames == 5


def test_nobody_in_the_driver_is_no_obstacle(folder: Path, driver: Path, tmp_path: Path) -> None:
    animator = Animator(load_model(folder))
    report = animator.animate(
        portrait_image(),
        driver,
        tmp_path / "result.mp4",
        crop="whole",
        settings=animator.settings(num_inference_steps=1, guidance_scale=1),
    )
    assert report.num_frames == 5
    assert any("whole frames drive alone" in note for note in report.notes)


def test_what_a_family_cannot_use_is_refused(folder: Path, driver: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.mp4"
    xportrait, megactor = Animator(load_model(folder)), Animator(tiny_model())
    with pytest.raises(InputError, match="use hints"):
        xportrait.animate(portrait_image(), driver, output, crop="whole", mode="plain")
    with pytest.raises(InputError, match="use plain or contour"):
        megactor.animate(portrait_image(), driver, output, crop="whole", mode="hints")
    for options in ({"strengths": {"face_control": ControlStrength(0.5)}}, {"best_frame": 1}):
        with pytest.raises(InputError, match="has no ControlNets"):
            megactor.animate(portrait_image(), driver, output, crop="whole", **options)
    with pytest.raises(InputError, match="starts from noise alone"):
        megactor.animate(portrait_image(), driver, output, crop="whole", start_video=driver)
    with pytest.raises(InputError, match="has 3 frames, the clip has 5"):
        short = write_driver(tmp_path / "short.mp4", num_frames=3)
        xportrait.animate(portrait_image(), driver, output, crop="whole", start_video=short)
    with pytest.raises(InputError, match="frames 0 to 4"):
        xportrait.animate(portrait_image(), driver, output, crop="whole", best_frame=5)
    assert not output.exists()


def test_command_line(folder: Path, driver: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_portrait(tmp_path / "a.png")
    write_portrait(tmp_path / "b.png", 60, 60)
    output = tmp_path / "result.mp4"
    arguments = ["animate", "--model", str(folder), "--driving", str(driver), "--output", str(output)]
    arguments += [
        "--reference",
        str(tmp_path / "a.png"),
        "--crop",
        "squash",
        "--device",
        "cpu",
        "--steps",
        "1",
    ]
    status = main(
        [
            *arguments,
            *("--more-references", str(tmp_path / "b.png")),
            *("--best-frame", "off", "--face-control", "0.8", "--patch-control", "1,0,0.5"),
        ]
    )
    assert status == 0
    written = open_driving(output)
    assert (written.num_frames, written.frame_rate, written.has_audio) == (5, 25, True)
    capsys.readouterr()
    assert main([*arguments, "--overwrite", "--face-control=-1"]) == 2
    assert "must be 0 or more" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--driving-mode", "contour"]) == 2
    assert "use hints" in capsys.readouterr().err


def test_loras_and_a_base_from_the_command_line(
    folder: Path, driver: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_portrait(tmp_path / "a.png")
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    factors = {f"{layer}.lora_down.weight": torch.ones(2, 8), f"{layer}.lora_up.weight": torch.ones(8, 2)}
    save_file({**factors, "lora_unet_other.alpha": torch.ones(())}, tmp_path / "style.safetensors")
    denoiser = load_model(folder).networks.denoiser.state_dict()
    base = {key: value / 2 for key, value in denoiser.items() if ".motion_modules." not in key}
    save_file(base, tmp_path / "base.safetensors")
    arguments = [
        "animate",
        "--model",
        str(folder),
        "--driving",
        str(driver),
        "--crop",
        "whole",
        "--steps",
        "2",
    ]
    arguments += ["--reference", str(tmp_path / "a.png"), "--device", "cpu"]

    def run(name: str, *more: str) -> np.ndarray:
        assert main([*arguments, "--output", str(tmp_path / f"{name}.mp4"), *more]) == 0
        return frames_of(tmp_path / f"{name}.mp4")

    plain = run("plain")
    styled = run("styled", "--lora", f"{tmp_path / 'style.safetensors'},0.5")
    report = "style.safetensors: 1 layers changed; 1 names without a match: lora_unet_other.alpha"
    assert report in capsys.readouterr().out
    other = run("other", "--base", str(tmp_path / "base.safetensors"))
    assert np.abs(styled - plain).max() > 0 and np.abs(other - plain).max() > 0
    assert main([*arguments, "--output", str(tmp_path / "no.mp4"), "--base", str(tmp_path / "a.png")]) == 2
    assert "is not a file of weights" in capsys.readouterr().err
