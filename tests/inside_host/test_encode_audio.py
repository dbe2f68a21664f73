"""Encode Audio and the driver without a video: any sound is heard, and none is told in a line."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.latest import InputImpl
from driver_widgets import prepare
from megactor_pack.megactor_core.conditioning.audio import encode_audio
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.families.registry import FAMILIES
from megactor_pack.megactor_core.models.encoder_config import AudioEncoderConfig, ConvAudioEncoderConfig
from megactor_pack.megactor_core.models.networks import build_networks
from megactor_pack.megactor_core.motion import Amplitude, Motion
from megactor_pack.megactor_core.weights.loading import load_model
from megactor_pack.megactor_core.weights.random_model import tiny_config, write_random_model
from megactor_pack.megactor_core.weights.saving import save_model
from megactor_pack.nodes.encode_audio import EncodeAudio
from megactor_pack.nodes.host.images import to_image
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.portrait_model import PortraitModel
from tiny_model import portrait_image, write_driver


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PortraitModel:
    folder = tmp_path_factory.mktemp("sigma") / "model"
    write_random_model("megactor-sigma", folder)
    return load_portrait_model(folder)


@pytest.fixture(autouse=True)
def host_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "megactor", ([str(tmp_path)], {".ckpt"}))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))


def tone(rate: int, channels: int, seconds: float = 0.5) -> dict[str, Any]:
    """AUDIO of a tone that is the same in all channels."""
    wave = np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * 440 / rate, dtype=np.float64) / 3
    return {"waveform": torch.from_numpy(np.tile(wave, (1, channels, 1))).float(), "sample_rate": rate}


def heard(model: PortraitModel, audio: dict[str, Any] | None, num_frames: int = 12) -> torch.Tensor:
    """What every frame hears, (frames, values)."""
    condition = EncodeAudio.execute(model, audio, 25.0, num_frames).args[0]
    return condition.features[condition.rows].flatten(1)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 1), (96000, 6)])
def test_any_rate_and_channels_sound_the_same(model: PortraitModel, rate: int, channels: int) -> None:
    rows = heard(model, tone(rate, channels))

    expected = heard(model, tone(16000, 1))
    assert rows.shape == expected.shape and rows.isfinite().all()
    # Not in the last frames, where the resamplers meet silence.
    assert torch.nn.functional.cosine_similarity(rows[:9], expected[:9], dim=-1).mean() > 0.99


@pytest.mark.parametrize(
    "ear",
    [
        ConvAudioEncoderConfig(width=8, blocks=2, standardised=True, window_positions=True),
        AudioEncoderConfig(width=8, heads=2, layers=2, positions=150, window_positions=True),
    ],
)
def test_ears_of_a_model_of_ones_own_hear_in_the_host_as_in_the_core(
    ear: AudioEncoderConfig | ConvAudioEncoderConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config(FAMILIES["megactor-sigma"].config), audio_encoder=ear)
    save_model(config, build_networks(config), tmp_path / "own", torch.float32)

    rows = heard(load_portrait_model(tmp_path / "own"), tone(16000, 1))
    encoder = load_model(tmp_path / "own").networks.audio_encoder
    waveform = tone(16000, 1)["waveform"][0, 0].numpy()[: 12 * 640]
    core = encode_audio(encoder, waveform, [Fraction(frame, 25) for frame in range(12)])
    torch.testing.assert_close(rows, core.features[core.rows].flatten(1), atol=1e-4, rtol=1e-4)


def test_silence_follows_a_short_sound(model: PortraitModel) -> None:
    rows = heard(model, tone(16000, 1, 0.2), 40)

    silence = heard(model, {**tone(16000, 1), "waveform": torch.zeros(1, 1, 16000)}, 40)
    assert len(rows) == 40
    assert not torch.allclose(rows[2], silence[2], atol=1e-3)


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        (None, "audio: the linked video has no sound"),
        (tone(16000, 1, 0), "its sound is empty"),
        ({**tone(8000, 1), "waveform": torch.full((1, 1, 800), torch.inf)}, "samples that are not numbers"),
        ({**tone(8000, 1), "waveform": torch.zeros(3, 1, 800)}, "audio of 3 clips: one is needed"),
    ],
)
def test_what_cannot_be_heard_is_said(
    model: PortraitModel, audio: dict[str, Any] | None, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        heard(model, audio, 0)
    assert "\n" not in str(caught.value)


def test_a_silent_video_gives_no_sound_to_encode(model: PortraitModel, tmp_path: Path) -> None:
    video = InputImpl.VideoFromFile(str(write_driver(tmp_path / "silent.mkv", 4, sound=False)))

    assert video.get_components().audio is None
    with pytest.raises(InputError, match="the linked video has no sound"):
        heard(model, video.get_components().audio)


def test_the_drivers_eyes_must_be_found_somehow(model: PortraitModel, tmp_path: Path) -> None:
    video = InputImpl.VideoFromFile(str(write_driver(tmp_path / "driver.mkv", 4)))

    with pytest.raises(
        InputError, match="mode eyes_mouth: nothing tells where the driver's eyes are"
    ) as told:
        prepare(model, video=video, crop="whole")
    assert "face_detection_yunet_2023mar.onnx" in str(told.value)


def test_a_still_portrait_needs_a_length(model: PortraitModel) -> None:
    portrait = to_image(portrait_image(64, 64))

    with pytest.raises(InputError, match="portrait: nothing tells how long it moves"):
        prepare(model, portrait=portrait)
    num_frames = prepare(model, portrait=portrait, max_frames=5).args[4]
    assert num_frames == 5


def test_head_motion_keyframes_must_be_of_the_clip(model: PortraitModel) -> None:
    inputs = {"portrait": to_image(portrait_image(64, 64)), "audio": tone(16000, 1)}

    for keyframes, problem in (
        ((1.0, 0.5), "has 2 values, the clip has 13"),
        ({40: 1.0}, "keyframes \\[40\\]"),
    ):
        with pytest.raises(InputError, match=f"amplitude of head motion: .*{problem}"):
            prepare(model, amplitude=Motion(Amplitude(head_motion=keyframes)), **inputs)
