"""Encoders of sound: Whisper's, whole or its first blocks, and the small one of convolutions."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from megactor_core.animation.memory import working_bytes
from megactor_core.conditioning.audio import batch_features, compose_audio, encode_audio, frame_rows
from megactor_core.families.megactor_sigma import CONFIG as SIGMA
from megactor_core.hearing.features import audio_features, log_mel, num_rows, standardise
from megactor_core.models.audio_encoder import AudioEncoder, ConvAudioEncoder, SpeechEncoder
from megactor_core.models.config import ModelConfig
from megactor_core.models.denoiser import KeyValues, gather_rows
from megactor_core.models.encoder_config import AudioEncoderConfig, ConvAudioEncoderConfig
from megactor_core.models.networks import build_networks
from megactor_core.sampling.sampler import SamplingSettings
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config
from megactor_core.weights.saving import save_model

GOLDEN = Path(__file__).parents[1] / "golden" / "whisper_segments.npz"
TIMES = [Fraction(frame, 25) for frame in range(12)]


def vowels(seconds: float) -> np.ndarray:
    """A buzz whose pitch and loudness wander."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * time)) / 16_000
    buzz = sum(np.sin(number * phase) / number for number in range(1, 20))
    return (0.2 * (1 + np.sin(7 * time)) * buzz).astype(np.float32)


def filled(encoder: SpeechEncoder) -> SpeechEncoder:
    """The encoder with weights that depend on nothing but their names and shapes."""
    assert isinstance(encoder, torch.nn.Module)
    for name, parameter in encoder.named_parameters():
        if name != "embed_positions.weight":
            rng = np.random.default_rng([*name.encode()])
            values = rng.standard_normal(parameter.shape, np.float32) / parameter[0].numel() ** 0.5
            parameter.data.copy_(torch.from_numpy(values))
    return encoder.eval()


@torch.inference_mode()
def test_the_first_two_blocks_alone_give_the_first_states_of_all_four():
    whole = filled(AudioEncoder(AudioEncoderConfig(width=32, heads=2, positions=150)))
    part = AudioEncoder(AudioEncoderConfig(width=32, heads=2, layers=2, positions=150)).eval()
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    sound = vowels(3.0)
    assert torch.equal(audio_features(part, sound), audio_features(whole, sound)[:, :3])


@torch.inference_mode()
def test_segments_of_three_seconds_give_the_stored_numbers():
    # The last of three segments holds 40 ms of sound; the rest of it is silence.
    config = AudioEncoderConfig(width=16, heads=2, layers=2, positions=150, padding="silence")
    features = audio_features(filled(AudioEncoder(config)), vowels(6.04))
    assert features.shape == (302, 3, 16)
    rows = features[[0, 1, 75, 149, 150, 151, 298, 299, 300, 301]]
    stored = np.load(GOLDEN)["rows"]
    assert rows.numpy() == pytest.approx(stored, abs=2e-5)


@torch.inference_mode()
def test_a_moment_sounds_the_same_to_convolutions_wherever_it_is():
    encoder = filled(ConvAudioEncoder(ConvAudioEncoderConfig(width=16, blocks=6)))
    mel = log_mel(vowels(2.0), 80)
    whole, later = encoder(mel[None])[0], encoder(mel[None, :, 40:])[0]
    assert whole.shape == (100, 1, 16)
    torch.testing.assert_close(whole[28:], later[8:], atol=1e-5, rtol=1e-5)
    changed = mel.clone()
    changed[:, 115:] += 1  # 15 columns after that of row 50: 150 ms, and the window of the spectrogram
    assert torch.equal(encoder(changed[None])[0, :51], whole[:51])
    assert not torch.equal(encoder(changed[None])[0, 51], whole[51])


def test_features_are_standardised_by_what_comes_with_the_weights(tmp_path):
    audio = ConvAudioEncoderConfig(width=8, blocks=1, standardised=True)
    config = replace(tiny_config(SIGMA), audio_encoder=audio)
    networks = build_networks(config)
    encoder = networks.audio_encoder
    sounds = [vowels(1.0), vowels(2.0)]
    standardise(encoder, sounds)
    features = torch.cat([audio_features(encoder, sound) for sound in sounds]).detach()
    torch.testing.assert_close(features.mean(0), torch.zeros(1, 8), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0), torch.ones(1, 8), atol=1e-3, rtol=0)
    save_model(config, networks, tmp_path, torch.float32)
    loaded = load_model(tmp_path).networks.audio_encoder
    assert torch.equal(audio_features(loaded, sounds[0]), audio_features(encoder, sounds[0]))


@pytest.mark.parametrize(
    "audio", [AudioEncoderConfig(width=8, heads=2, layers=1), ConvAudioEncoderConfig(width=8)]
)
@torch.inference_mode()
def test_positions_tell_the_places_in_the_window_of_a_frame(audio):
    plain, placed = (
        filled(build_networks(replace(tiny_config(SIGMA), audio_encoder=one)).audio_encoder)
        for one in (audio, replace(audio, window_positions=True))
    )
    sound = vowels(1.0)
    without, with_places = (encode_audio(one, sound, TIMES) for one in (plain, placed))
    tokens, moved = (
        gather_rows(KeyValues(heard.features[:, None], heard.features[:, None]), heard.rows).key[:, 0]
        for heard in (without, with_places)
    )
    assert moved.shape == (12, 10 * audio.states, 8)
    torch.testing.assert_close(moved, tokens + placed.window_positions.weight)


@torch.inference_mode()
def test_clips_that_hear_nothing_have_tokens_of_zero_at_every_place():
    audio = ConvAudioEncoderConfig(width=8, blocks=1, window_positions=True)
    encoder = filled(ConvAudioEncoder(audio))
    sound = torch.from_numpy(np.stack([vowels(1.0)] * 2))
    rows = frame_rows(num_rows(16_000), TIMES).expand(2, -1, -1)
    heard = compose_audio(encoder, batch_features(encoder, sound), rows, torch.tensor([True, False]))
    alone = encode_audio(encoder, sound[0].numpy(), TIMES)
    windows = heard.features[heard.rows].unflatten(0, (2, 12))
    assert torch.equal(windows[0], alone.features[alone.rows]) and not windows[1].any()


@pytest.mark.parametrize(
    "audio",
    [
        AudioEncoderConfig(
            layers=2, positions=150, padding="silence", standardised=True, window_positions=True
        ),
        ConvAudioEncoderConfig(width=64, standardised=True),
    ],
)
def test_a_model_of_any_ear_survives_its_json_form(audio):
    config = replace(tiny_config(SIGMA), audio_encoder=audio)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_configurations_from_before_there_was_a_choice_still_load():
    data = tiny_config(SIGMA).to_dict()
    data["audio_encoder"] = {"bands": 80, "width": 8, "heads": 2, "layers": 4, "positions": 1500}
    assert ModelConfig.from_dict(data) == tiny_config(SIGMA)
    data["audio_encoder"]["kind"] = "horn"
    with pytest.raises(ValueError, match=r"kind 'horn' is not known.*whisper, conv"):
        ModelConfig.from_dict(data)


def test_memory_is_reckoned_for_the_tokens_that_there_are():
    def needed(audio) -> int:
        config = replace(SIGMA, audio_encoder=audio, denoiser=replace(SIGMA.denoiser, audio_dim=384))
        settings = SamplingSettings.from_defaults(config.defaults)
        return working_bytes(config, settings, 512, 100_000, torch.float16)

    one, five = needed(ConvAudioEncoderConfig(width=384)), needed(AudioEncoderConfig())
    placed = needed(ConvAudioEncoderConfig(width=384, window_positions=True))
    values = SIGMA.denoiser.audio_values(5 * 100_000) * 2
    assert five - one == 4 * values and placed - one == values
