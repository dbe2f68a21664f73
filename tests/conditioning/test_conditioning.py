"""Conditions: chunks change nothing, the person is not in the background, randomness is the seed's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import SIZE, portrait_image, tiny_config, tiny_networks

from megactor_core.animation import encode
from megactor_core.animation.backend import CoreBackend
from megactor_core.conditioning.background import encode_background
from megactor_core.conditioning.driving import driving_features, encode_driving, modulate_driving
from megactor_core.models.conditions import ReferenceCondition
from megactor_core.vision.crops import whole_crop
from megactor_core.vision.portrait import Portrait
from megactor_core.weights.loading import LoadedModel

NETWORKS = tiny_networks()
PICTURE = portrait_image(SIZE, SIZE)
FOREGROUND = np.zeros((SIZE, SIZE), np.float32)
FOREGROUND[8:40, 16:48] = 1


def encode_reference(
    picture: np.ndarray, foreground: np.ndarray, seed: int | None = None
) -> ReferenceCondition:
    """The portrait as animation encodes it; without a seed the posterior's mean joins the noisy latent."""
    config = tiny_config(reference_posterior="mean" if seed is None else "sample")
    pixels = picture.astype(np.float32)
    crop = whole_crop(picture.shape[:2], SIZE)
    portrait = Portrait(picture, crop, pixels, picture.astype(np.uint8), foreground, None)
    backend = CoreBackend(LoadedModel(config, NETWORKS, Path("tiny")))
    return encode.encode_reference(backend, portrait, seed or 0)


def test_driving_features_do_not_depend_on_the_chunks() -> None:
    frames = np.random.default_rng(0).uniform(0, 255, (11, SIZE, SIZE))
    encoder = NETWORKS.denoiser.condition_input_layer
    modulation = encode_reference(PICTURE, FOREGROUND).modulation
    one, many = (encode_driving(encoder, iter(frames), modulation, length).features for length in (1, 8))
    assert one.shape == (1, 4, 11, SIZE // 8, SIZE // 8)
    torch.testing.assert_close(one, many, atol=1e-5, rtol=1e-5)


def test_features_without_the_portrait_are_modulated_to_the_same_condition() -> None:
    frames = np.random.default_rng(0).uniform(0, 255, (11, SIZE, SIZE))
    encoder = NETWORKS.denoiser.condition_input_layer
    modulation = encode_reference(PICTURE, FOREGROUND).modulation
    done: list[int] = []
    features = driving_features(
        encoder, iter(frames), 11, device=torch.device("cpu"), dtype=torch.float32, on_chunk=done.append
    )
    assert features.num_frames == 11 and done == [8, 11]
    modulated = modulate_driving(encoder, features, modulation)
    torch.testing.assert_close(modulated.features, encode_driving(encoder, frames, modulation).features)


def test_the_background_does_not_see_the_person() -> None:
    changed = PICTURE.copy()
    changed[FOREGROUND > 0] = 255 - changed[FOREGROUND > 0]
    tokens = [
        encode_background(NETWORKS.image_encoder, picture, FOREGROUND).tokens
        for picture in (PICTURE, changed)
    ]
    assert torch.equal(*tokens)
    assert tokens[0].shape == (1, 5, 16)


def test_the_mask_channel_is_one_on_the_background() -> None:
    mask = encode_reference(PICTURE, FOREGROUND).static_channels[0, -1, 0]
    expected = torch.ones(8, 8)
    expected[1:5, 2:6] = 0
    assert torch.equal(mask, expected)


def test_the_concatenated_latent_follows_the_seed_and_the_bank_does_not() -> None:
    mean, first, again, other = (encode_reference(PICTURE, FOREGROUND, seed=seed) for seed in (None, 1, 1, 2))
    assert torch.equal(first.static_channels, again.static_channels)
    assert not torch.equal(first.static_channels, other.static_channels)
    assert torch.equal(first.latents, other.latents)
    assert torch.equal(mean.static_channels[:, :4, 0], mean.latents)


def test_the_vae_sees_whole_numbers_and_the_modulation_the_picture_as_cropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = NETWORKS.denoiser.condition_input_layer
    seen: list[torch.Tensor] = []
    original = encoder.modulation
    monkeypatch.setattr(encoder, "modulation", lambda image: (seen.append(image), original(image))[1])
    whole = np.minimum(PICTURE, 254)
    encoded = [encode_reference(p, FOREGROUND) for p in (whole, whole.astype(np.float32) + 0.75)]
    torch.testing.assert_close(encoded[0].latents, encoded[1].latents, atol=0, rtol=0)
    torch.testing.assert_close(seen[1], seen[0] + 0.75 / 255)
