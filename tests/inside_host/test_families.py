"""MegActor-Sigma and X-Portrait in the nodes: what the core makes, step by step and in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl
from counted_calls import count_calls
from driver_widgets import prepare
from face_values import face_landmarks
from megactor_pack.megactor_core.animation.checks import check_controls, check_motion, checked_mode
from megactor_pack.megactor_core.animation.clip import find_clip
from megactor_pack.megactor_core.animation.memory import check_memory
from megactor_pack.megactor_core.animator import Animator
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.files import check_output
from megactor_pack.megactor_core.media.reading import open_driving
from megactor_pack.megactor_core.media.samples import Samples
from megactor_pack.megactor_core.media.waveform import heard_part
from megactor_pack.megactor_core.models.conditions import ControlStrength
from megactor_pack.megactor_core.motion import Amplitude, Motion
from megactor_pack.megactor_core.weights.loading import load_model, read_config
from megactor_pack.megactor_core.weights.random_model import write_random_model
from megactor_pack.nodes.animate_portrait import AnimatePortrait
from megactor_pack.nodes.encode_audio import EncodeAudio
from megactor_pack.nodes.encode_driving import EncodeDriving
from megactor_pack.nodes.encode_reference import EncodeReference
from megactor_pack.nodes.host.animation import HostAnimator
from megactor_pack.nodes.host.faces import find_detector
from megactor_pack.nodes.host.images import to_image
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.people import find_segmenter
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.sampler import MegActorSampler
from tiny_model import portrait_image, write_driver

FAMILIES = ("megactor-sigma", "xportrait")
NUM_FRAMES = 6
FACE = (16, 12, 48, 52)
SPEECH = Samples(np.sin(np.arange(8000) / 8, dtype=np.float32)[None] / 3, 16000)
AUDIO = {"waveform": torch.from_numpy(SPEECH.values)[None], "sample_rate": SPEECH.rate}
SAMPLING = {
    "seed": 7,
    "steps": 2,
    "guidance_scale": 0.0,
    "scheduler": "ddim",
    "context_length": 0,
    "context_overlap": -1,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        write_random_model(family, root / family)
    return {family: root / family for family in FAMILIES}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, PortraitModel]:
    return {family: load_portrait_model(folder) for family, folder in folders.items()}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_driver(tmp_path_factory.mktemp("driver") / "driver.mkv", NUM_FRAMES, sound=True)


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "megactor-sigma": [
        {"speech": SPEECH, "driving": None, "amplitude": Amplitude(speech=0.5)},
    ],
    "xportrait": [
        {},
        {"strengths": {"face_control": ControlStrength(0.5, 0.2, 0.9), "patch_control": ControlStrength(0)}},
        {"more_references": [portrait_image()[::-1].copy()]},
    ],
}


@pytest.mark.parametrize(
    ("family", "options"), [(family, options) for family in FAMILIES for options in OPTIONS[family]]
)
def test_every_frame_is_the_cores(
    folders: dict[str, Path],
    models: dict[str, PortraitModel],
    driver: Path,
    tmp_path: Path,
    family: str,
    options: dict[str, Any],
) -> None:
    clips = []
    for animator in (Animator(load_model(folders[family])), HostAnimator(models[family])):
        frames: list[np.ndarray] = []
        arguments = {"driving": driver, "crop": "whole", "settings": animator.settings(), **options}
        arguments["on_frame"] = lambda index, frame, frames=frames: frames.append(frame)
        animator.animate(portrait_image(), output=tmp_path / f"{len(clips)}.mkv", **arguments)
        clips.append(np.stack(frames).astype(int))
    assert clips[0].shape == clips[1].shape
    assert np.abs(clips[0] - clips[1]).max() <= 1


def prepared(model: PortraitModel, **inputs: Any) -> Any:
    portrait = to_image(portrait_image(64, 64))
    return prepare(model, portrait=portrait, crop="whole", **inputs).args


def sampled(model: PortraitModel, **inputs: Any) -> torch.Tensor:
    portrait, foreground = to_image(portrait_image(64, 64)), torch.zeros(1, 64, 64)
    reference = EncodeReference.execute(model, portrait, foreground, seed=1).args[0]
    return MegActorSampler.execute(model, **{"reference": reference, **SAMPLING, **inputs}).args[0]["samples"]


def test_sound_alone_moves_a_portrait_step_by_step(models: dict[str, PortraitModel]) -> None:
    model = models["megactor-sigma"]
    condition, frame_rate, audio, _, num_frames, _ = prepared(model, audio=AUDIO)
    assert num_frames == 13 and frame_rate == 25  # half a second, and a frame that ends in silence
    assert audio["waveform"].shape[-1] == 8000
    faces = {"portrait_landmarks": face_landmarks([[FACE]], (64, 64))}
    swaying = [prepared(model, audio=AUDIO, seed=seed, **faces)[0] for seed in (1, 1, 2)]
    assert torch.equal(*swaying[:2]) and not torch.equal(*swaying[1:])
    driving = EncodeDriving.execute(model, condition).args[0]
    heard = EncodeAudio.execute(model, audio, frame_rate, num_frames).args[0]
    clip = sampled(model, driving=driving, audio=heard)
    assert clip.shape == (13, 4, 8, 8)
    assert not torch.allclose(sampled(model, driving=driving), clip)
    quiet = Motion(Amplitude(speech=0))
    assert not torch.allclose(sampled(model, driving=driving, audio=heard, amplitude=quiet), clip)


def test_video_and_sound_drive_together(models: dict[str, PortraitModel], driver: Path) -> None:
    model = models["megactor-sigma"]
    faces = face_landmarks([[FACE]] * NUM_FRAMES, (64, 64))
    video = InputImpl.VideoFromFile(str(driver))
    condition, rate, audio, _, num_frames, _ = prepared(model, video=video, face_landmarks=faces)
    assert num_frames == NUM_FRAMES and audio is not None
    driving = EncodeDriving.execute(model, condition).args[0]
    heard = EncodeAudio.execute(model, audio, rate, num_frames).args[0]
    clip = sampled(model, driving=driving, audio=heard)
    still = Motion(Amplitude(expression=0))
    assert not torch.allclose(sampled(model, driving=driving, audio=heard, amplitude=still), clip)


def test_patches_come_from_prepare_driving(models: dict[str, PortraitModel], driver: Path) -> None:
    model = models["xportrait"]
    faces = face_landmarks([[FACE]] * NUM_FRAMES, (64, 64))
    video = InputImpl.VideoFromFile(str(driver))
    condition, _, _, _, _, patches = prepared(model, video=video, face_landmarks=faces)
    assert condition.shape == patches.shape == (NUM_FRAMES, 64, 64, 3)
    assert (patches == 0).float().mean() > 0.3, "outside of eyes and mouth there is nothing"
    driving = EncodeDriving.execute(model, condition, patches).args[0]
    clip = sampled(model, driving=driving)
    off = {name: ControlStrength(0) for name in ("face_control", "patch_control")}
    assert not torch.allclose(sampled(model, driving=driving, control_strength=off), clip)
    start = {"samples": torch.randn(NUM_FRAMES + 2, 4, 8, 8)}
    assert not torch.allclose(sampled(model, driving=driving, start_latent=start), clip)


def test_several_references_are_read(models: dict[str, PortraitModel], driver: Path) -> None:
    model = models["xportrait"]
    condition, _, _, _, _, patches = prepared(model, video=InputImpl.VideoFromFile(str(driver)))
    driving = EncodeDriving.execute(model, condition, patches).args[0]
    picture, mask = to_image(portrait_image(64, 64)), torch.zeros(1, 64, 64)

    def encoded(picture: torch.Tensor, mask: torch.Tensor = mask, **more: Any) -> Any:
        return EncodeReference.execute(model, picture, mask, seed=1, **more).args[0]

    both = encoded(picture, more_references=encoded(picture.flip(1)))
    one = sampled(model, driving=driving, reference=encoded(picture))
    assert not torch.allclose(sampled(model, driving=driving, reference=both), one)
    small = encoded(to_image(portrait_image(32, 32)), mask[:, :32, :32])
    with pytest.raises(InputError, match="more_references of 32x32: the portrait is 64x64"):
        encoded(picture, more_references=small)


def animate(model: PortraitModel, **inputs: Any) -> Path:
    widgets = {
        "crop": "whole",
        "paste_back": False,
        "size": 0,
        "lost_face": "hold",
        "start_frame": 0,
        "max_frames": 0,
        **SAMPLING,
    }
    picture = to_image(portrait_image())
    result = AnimatePortrait.execute(model=model, portrait=picture, **{**widgets, **inputs})
    return Path(result.args[0].get_stream_source())


def test_animate_portrait_by_sound_alone(models: dict[str, PortraitModel]) -> None:
    source = open_driving(animate(models["megactor-sigma"], audio=AUDIO, frame_rate=20.0))
    assert source.num_frames == 10 and source.frame_rate == 20 and source.sound is not None


def test_animate_portrait_asks_everything_once(
    models: dict[str, PortraitModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (check_controls, check_motion, check_output, checked_mode, find_clip, heard_part)
    found = (find_detector, find_segmenter)
    counts = count_calls(monkeypatch, *asked, *found, check_memory, read_config)
    animate(models["megactor-sigma"], audio=AUDIO)
    # the host watches its memory itself, and the model has been read by Load MegActor Model
    assert counts == {one.__name__: 1 for one in (*asked, *found)} | {"check_memory": 0, "read_config": 0}


def test_what_prepare_driving_and_the_sampler_have_animate_portrait_has_too(
    models: dict[str, PortraitModel], driver: Path
) -> None:
    def frames(**inputs: Any) -> np.ndarray:
        path = animate(models["xportrait"], driving=InputImpl.VideoFromFile(str(driver)), **inputs)
        return np.stack([image for _, _, image in open_driving(path).frames()]).astype(int)

    usual = frames()
    later = {"mode": "auto", "best_frame": -1, "fixed_patches": False, "smoothing": 0.0}
    assert np.array_equal(frames(**later, noise_scale=-1.0, window_weights="flat"), usual)
    assert np.array_equal(frames(mode="hints"), usual)
    assert not np.array_equal(frames(noise_scale=0.5), usual)
    assert not np.array_equal(frames(context_length=4, context_overlap=2, window_weights="pyramid"), usual)
    with pytest.raises(InputError, match="use hints"):
        frames(mode="plain")
    with pytest.raises(InputError, match="frames 0 to 5"):
        frames(best_frame=6)


def test_what_a_family_cannot_use_is_refused(
    models: dict[str, PortraitModel], tiny_folder: Path, driver: Path
) -> None:
    video = InputImpl.VideoFromFile(str(driver))
    megactor, sigma, xportrait = load_portrait_model(tiny_folder), *models.values()
    strengths = {"face_control": ControlStrength(0.5)}
    for model, inputs, problem in (
        (
            megactor,
            {"driving": video, "audio": AUDIO},
            "speech: a model of the family megactor cannot use it",
        ),
        (megactor, {"driving": video, "control_strength": strengths}, "megactor has no ControlNets"),
        (sigma, {"driving": video, "control_strength": strengths}, "megactor-sigma has no ControlNets"),
        (sigma, {}, "driving: nothing is given that could drive the portrait"),
        (xportrait, {"driving": video, "audio": AUDIO}, "xportrait cannot use it"),
        (xportrait, {"driving": video, "amplitude": Motion(Amplitude(expression=2))}, "expression"),
    ):
        with pytest.raises(InputError, match=problem):
            animate(model, **inputs)
    with pytest.raises(InputError, match="patches: a model of the family xportrait needs them"):
        EncodeDriving.execute(xportrait, torch.zeros(2, 64, 64, 3))
    with pytest.raises(InputError, match="patches: a model of the family megactor cannot use them"):
        EncodeDriving.execute(megactor, torch.zeros(2, 64, 64, 3), torch.zeros(2, 64, 64, 3))
    with pytest.raises(InputError, match="audio of 2 clips"):
        EncodeAudio.execute(sigma, {**AUDIO, "waveform": torch.zeros(2, 1, 100)}, 25.0, 0)
    nothing = {**AUDIO, "waveform": torch.full((1, 1, 100), torch.nan)}
    with pytest.raises(InputError, match="not numbers"):
        EncodeAudio.execute(sigma, nothing, 25.0, 0)
    heard = EncodeAudio.execute(sigma, AUDIO, 25.0, 4).args[0]
    condition = prepared(sigma, audio=AUDIO)[0]
    driving = EncodeDriving.execute(sigma, condition).args[0]
    with pytest.raises(InputError, match="audio of 4 frames: the driving clip has 13"):
        sampled(sigma, driving=driving, audio=heard)
