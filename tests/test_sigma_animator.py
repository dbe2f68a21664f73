"""MegActor-Sigma animates by video, sound, or both: right length, rate and sound; every option counts."""

from __future__ import annotations

import re
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny_model import portrait_image, write_driver, write_portrait

from megactor_core.animation.clip import DRIVERS_SOUND
from megactor_core.animator import Animator
from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.media.samples import Samples
from megactor_core.motion import Amplitude, Liveliness
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.vision.faces import Face
from megactor_core.vision.landmarks import Landmarker
from megactor_core.weights.loading import LoadedModel, load_model
from megactor_core.weights.random_model import write_random_model


@pytest.fixture(scope="module", params=["megactor-sigma", "megactor-sigma-dit"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("sigma") / "model"
    write_random_model(request.param, folder)
    return load_model(folder)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_driver(tmp_path_factory.mktemp("driver") / "driver.mp4", num_frames=5, sound=True)


def write_speech(path: Path, seconds: float, rate: int = 8000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        tone = 9000 * np.sin(2 * np.pi * 300 * np.arange(int(rate * seconds)) / rate)
        file.writeframes(tone.astype(np.int16).tobytes())
    return path


def moving_face() -> Landmarker:
    """Sees a face that moves on with every picture; the first is the portrait."""
    seen = iter(range(1000))
    return lambda image: MEAN_FACE[:, :2] * 2 + (30 + next(seen), 30)


def animated(
    model: LoadedModel, driver: Path | None, output: Path, frames: int = 5, **options: object
) -> np.ndarray:
    animator = Animator(model, landmarker=moving_face())
    options = {"crop": "whole", "settings": animator.settings(num_inference_steps=2), **options}
    report = animator.animate(portrait_image(), driver, output, overwrite=True, **options)
    assert report.num_frames == frames
    return np.stack([image for _, _, image in open_driving(output).frames()]).astype(int)


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def test_every_way_of_driving_gives_another_clip(model: LoadedModel, driver: Path, tmp_path: Path) -> None:
    output, speech = tmp_path / "result.mp4", write_speech(tmp_path / "speech.wav", 0.2)
    clips = {
        "silent": animated(model, driver, output),
        "eyes alone": animated(model, driver, output, mode="eyes"),
        "fixed patches": animated(model, driver, output, fixed_patches=True),
        "its own sound": animated(model, driver, output, speech=DRIVERS_SOUND),
        "sound with the mouth": animated(model, driver, output, speech=DRIVERS_SOUND, mode="eyes_mouth"),
        "another sound": animated(model, driver, output, speech=speech),
        "half as loud": animated(
            model, driver, output, speech=DRIVERS_SOUND, amplitude=Amplitude(speech=0.5)
        ),
        "still head": animated(model, driver, output, amplitude=Amplitude(head_motion=0)),
        "no expression": animated(model, driver, output, amplitude=Amplitude(expression=0)),
        "lively": animated(model, None, output, speech=speech),
        "still": animated(model, None, output, speech=speech, liveliness=Liveliness(blink=0, sway=0)),
        "stiller": animated(model, None, output, speech=speech, amplitude=Amplitude(head_motion=0)),
    }
    same = {frozenset({"still", "stiller"})}  # the first blink comes later
    for name, clip in clips.items():
        for other in clips:
            if name < other:
                assert np.array_equal(clip, clips[other]) == (frozenset({name, other}) in same), (name, other)


def test_amplitude_one_is_exactly_as_driven(model: LoadedModel, driver: Path, tmp_path: Path) -> None:
    plain = animated(model, driver, tmp_path / "plain.mp4", speech=DRIVERS_SOUND)
    ones = Amplitude(speech=[1.0] * 5, head_motion=[1.0] * 5, expression=[1.0] * 5)
    assert np.array_equal(
        plain, animated(model, driver, tmp_path / "ones.mp4", speech=DRIVERS_SOUND, amplitude=ones)
    )


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_speech_alone_decides_the_length_and_is_heard(
    seconds: float, model: LoadedModel, tmp_path: Path
) -> None:
    speech, output = write_speech(tmp_path / "speech.wav", seconds), tmp_path / "result.mp4"
    frames = int(np.ceil(seconds * 12))
    animated(model, None, output, frames, speech=speech, frame_rate=Fraction(12))
    assert open_driving(output).frame_rate == 12
    assert sound_seconds(output) == pytest.approx(seconds, abs=0.1)
    assert animated(model, None, output, 1, speech=speech, stop=1).shape[0] == 1


def test_without_a_face_in_the_portrait_speech_drives_alone(model: LoadedModel, tmp_path: Path) -> None:
    samples = Samples(np.random.default_rng(0).uniform(-1, 1, (6, 9600)).astype(np.float32), 96000)
    animator = Animator(model)
    settings = animator.settings(num_inference_steps=1)
    output = tmp_path / "result.mp4"
    report = animator.animate(portrait_image(), None, output, crop="whole", speech=samples, settings=settings)
    assert report.num_frames == 3 and "by sound alone" in report.notes[0]


def test_speech_that_ends_early_ends_in_silence(model: LoadedModel, driver: Path, tmp_path: Path) -> None:
    short = write_speech(tmp_path / "short.wav", 0.05)
    assert len(animated(model, driver, tmp_path / "result.mp4", speech=short)) == 5


def test_what_cannot_be_used_is_refused(model: LoadedModel, driver: Path, tmp_path: Path) -> None:
    silent = write_driver(tmp_path / "silent.mp4", num_frames=3)
    nan = Samples(np.full((1, 4000), np.nan, np.float32), 16000)
    cases = {
        "nothing is given that could drive": {"driving": None},
        "has no sound": {"driving": silent, "speech": DRIVERS_SOUND},
        "holds no sound": {"driving": None, "speech": silent},
        "not numbers": {"driving": None, "speech": nan},
        "has 2 values, the clip has 5 frames": {"amplitude": Amplitude(speech=[1.0, 2.0])},
        "use eyes_mouth or eyes": {"mode": "plain"},
    }
    animator = Animator(model, landmarker=moving_face())
    output = tmp_path / "result.mp4"
    for message, options in cases.items():
        with pytest.raises(InputError, match=message):
            animator.animate(
                portrait_image(), options.pop("driving", driver), output, crop="whole", **options
            )
    assert not output.exists()


def test_a_model_that_hears_nothing_refuses_speech(driver: Path, tmp_path: Path) -> None:
    write_random_model("megactor", tmp_path / "model")
    animator = Animator(load_model(tmp_path / "model"))
    with pytest.raises(InputError, match="speech: a model of the family megactor cannot use it"):
        animator.animate(portrait_image(), driver, tmp_path / "r.mp4", crop="whole", speech=DRIVERS_SOUND)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), [1.0, -1.0]])
def test_impossible_amplitudes_are_refused(value: float | list[float]) -> None:
    with pytest.raises(InputError, match="finite number from 0"):
        Amplitude(expression=value)


def test_the_work_is_done_once(model: LoadedModel, driver: Path, tmp_path: Path) -> None:
    calls = {"reference": 0, "sound": 0, "keys of sound": 0}

    def count(name: str):  # type: ignore[no-untyped-def]
        return lambda *_: calls.__setitem__(name, calls[name] + 1)

    networks = model.networks
    reference = networks.module("reference_network")
    assert networks.audio_encoder is not None
    block = next(one for one in networks.denoiser.attending_blocks().values() if one.hears)
    handles = [
        reference.get_submodule(reference.input_layer).register_forward_pre_hook(count("reference")),
        networks.audio_encoder.conv1.register_forward_pre_hook(count("sound")),
        block.attn_audio.to_k.register_forward_pre_hook(count("keys of sound")),
    ]
    long = write_driver(tmp_path / "long.mp4", num_frames=40, sound=True)
    with torch.inference_mode():
        animated(model, long, tmp_path / "result.mp4", 40, speech=DRIVERS_SOUND)
    for handle in handles:
        handle.remove()
    assert calls == {"reference": 2, "sound": 1, "keys of sound": 1}


def test_every_mode_from_the_command_line(
    model: LoadedModel, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("megactor_core.animator.find_detector", lambda *_: FiveFixedPoints())
    speech, picture = write_speech(tmp_path / "speech.wav", 0.2), write_portrait(tmp_path / "portrait.png")
    common = ["animate", "--model", str(model.source), "--reference", str(picture), "--crop", "whole"]
    common += ["--steps", "1", "--device", "cpu", "--overwrite", "--output", str(tmp_path / "result.mp4")]
    modes = {
        "visual": ["--driving", str(driver), "--head-motion", "0.5", "--expression", "1,1,0.5,0,0"],
        "both": ["--driving", str(driver), "--speech", "driving", "--speech-amplitude", "0.5"],
        "another voice": ["--driving", str(driver), "--speech", str(speech), "--fixed-patches"],
        "speech alone": ["--speech", str(speech), "--blink", "0", "--sway", "0.5"],
    }
    for name, options in modes.items():
        assert main([*common, *options]) == 0, name
        result = open_driving(tmp_path / "result.mp4")
        assert (result.num_frames, result.frame_rate, result.has_audio) == (5, 25, True), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing is given that could drive"),
        (["--speech", "driving"], "no such file|cannot be read"),
        (["--speech", "missing.wav"], "there is no such file"),
        (["--speech", "VOICE", "--head-motion", "-1"], "finite number from 0"),
        (["--speech", "VOICE", "--speech-amplitude", "nan"], "finite number from 0"),
        (["--speech", "VOICE", "--speech-amplitude", "1,1"], "has 2 values, the clip has 5 frames"),
        (["--speech", "VOICE", "--face-control", "1"], "has no ControlNets"),
    ],
)
def test_bad_command_lines_are_refused_in_one_line(
    options: list[str], message: str, model: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, picture = write_speech(tmp_path / "speech.wav", 0.2), write_portrait(tmp_path / "portrait.png")
    options = [str(speech) if option == "VOICE" else option for option in options]
    arguments = ["animate", "--model", str(model.source), "--reference", str(picture), "--crop", "whole"]
    arguments += ["--output", str(tmp_path / "result.mp4"), "--device", "cpu", *options]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert re.search(message, error) and "\n" not in error.splitlines()[-1]
    assert not (tmp_path / "result.mp4").exists()


class FiveFixedPoints:
    """A detector that sees one face with five points."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        points = np.array([(24, 26), (40, 26), (32, 34), (26, 42), (38, 42)], np.float32)
        return (Face((16, 14, 48, 50), points=points),)
