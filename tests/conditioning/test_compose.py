"""The composer: many rows are as many clips, gradients arrive, and what is dropped has no effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import portrait_image, tiny_config, tiny_networks

from megactor_core.animator import Animator
from megactor_core.conditioning.audio import frame_rows
from megactor_core.conditioning.background import clip_pixels, encode_context
from megactor_core.conditioning.compose import Clips, Kept, compose, driving_width
from megactor_core.conditioning.driving import encode_driving
from megactor_core.conditioning.tensors import unit_tensor
from megactor_core.families.registry import FAMILIES
from megactor_core.hearing.features import num_rows
from megactor_core.models.config import ModelConfig
from megactor_core.models.networks import CONTROLS, Networks
from megactor_core.training.tasks.prediction import predict_clips
from megactor_core.vision.crops import whole_crop
from megactor_core.vision.foreground import background_image
from megactor_core.vision.portrait import Portrait
from megactor_core.weights.loading import LoadedModel
from megactor_core.weights.random_model import tiny_config as tiny_family

ROWS, FRAMES, SIZE, CELLS = 3, 2, 64, 8
TIMESTEPS = torch.tensor([900, 400, 100])


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> tuple[ModelConfig, Networks]:
    config = tiny_family(FAMILIES[request.param].config)
    return config, tiny_networks(config)


def clips_of(config: ModelConfig, networks: Networks) -> Clips:
    draw = torch.Generator().manual_seed(0)

    def levels(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)

    shown = {"driving": levels(ROWS, FRAMES, SIZE, SIZE)}
    if networks.controls:
        shown = {name: levels(ROWS, FRAMES, 3, SIZE, SIZE) for name in CONTROLS}
    channels = config.latent_space.channels
    latents = torch.randn(2, ROWS, channels, CELLS, CELLS, generator=draw)
    backgrounds = torch.randn(ROWS, 3, 32, 32, generator=draw) if networks.image_encoder else None
    sound, rows = None, None
    if networks.audio_encoder is not None:
        sound = torch.randn(ROWS, 2000, generator=draw) / 4
        rows = frame_rows(num_rows(2000), [0, 0.04]).expand(ROWS, -1, -1)  # type: ignore[list-item]
    return Clips(
        torch.rand(ROWS, 3, SIZE, SIZE, generator=draw),
        (torch.rand(ROWS, 1, CELLS, CELLS, generator=draw) > 0.5).float(),
        *latents,
        shown,
        backgrounds,
        sound,
        rows,
    )


def row_of(clips: Clips, row: int) -> Clips:
    def one(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else value[row : row + 1]

    given = {name: one(value) for name, value in vars(clips).items() if name != "shown"}
    shown = {name: value[row : row + 1] for name, value in clips.shown.items()}
    return replace(clips, shown=shown, **given)


def predicted(
    config: ModelConfig, networks: Networks, clips: Clips, kept: Kept | None = None
) -> torch.Tensor:
    kept = kept or Kept()
    conditions = compose(config, networks, clips, kept).conditions
    return predict_clips(networks, conditions, noise_of(config), TIMESTEPS, reads=kept.reference)


def noise_of(config: ModelConfig) -> torch.Tensor:
    shape = (ROWS, config.latent_space.channels, FRAMES, CELLS, CELLS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_rows_are_predicted_as_if_each_were_alone(family: tuple[ModelConfig, Networks]) -> None:
    config, networks = family
    clips, noisy = clips_of(config, networks), noise_of(config)
    together = predicted(config, networks, clips)
    for row in range(ROWS):
        conditions = compose(config, networks, row_of(clips, row), Kept()).conditions
        one = predict_clips(networks, conditions, noisy[row : row + 1], TIMESTEPS[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], one, atol=2e-4, rtol=1e-3)


@torch.inference_mode()
def test_rows_in_another_order_are_predicted_in_that_order(family: tuple[ModelConfig, Networks]) -> None:
    config, networks = family
    clips, noisy = clips_of(config, networks), noise_of(config)
    conditions, order = compose(config, networks, clips, Kept()).conditions, torch.tensor([2, 0, 1])
    reads = torch.tensor([True, False, True])
    straight = predict_clips(networks, conditions, noisy, TIMESTEPS, reads=reads)
    turned = predict_clips(
        networks, conditions.of_rows(order), noisy[order], TIMESTEPS[order], reads=reads[order]
    )
    torch.testing.assert_close(turned, straight[order], atol=2e-4, rtol=1e-3)


def changed(clips: Clips, what: str, row: int) -> Clips:
    """The same clips, one of whose rows has another reference, background, driver or sound."""

    def other(value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        value[row] = value[row].flip(-1) if value.ndim > 2 else 0
        return value

    if what == "driver":
        return replace(clips, shown={name: other(value) for name, value in clips.shown.items()})
    name = {"reference": "mean", "background": "backgrounds", "sound": "sound"}[what]
    return replace(clips, **{name: other(getattr(clips, name))})


@torch.inference_mode()
@pytest.mark.parametrize("what", ["reference", "background", "driver", "sound"])
def test_what_a_row_drops_has_no_effect_on_it_and_all_of_it_on_others(
    family: tuple[ModelConfig, Networks], what: str
) -> None:
    config, networks = family
    clips = clips_of(config, networks)
    absent = {"background": clips.backgrounds is None, "sound": clips.sound is None}
    if absent.get(what):
        return
    kept = Kept(**{what: torch.tensor([True, False, True])})
    result = predicted(config, networks, clips, kept)
    torch.testing.assert_close(
        predicted(config, networks, changed(clips, what, 1), kept), result, atol=1e-6, rtol=0
    )
    moved = predicted(config, networks, changed(clips, what, 0), kept)
    assert (moved[0] - result[0]).abs().max() > 1e-5, "the row that keeps it sees another"
    torch.testing.assert_close(moved[1:], result[1:], atol=1e-6, rtol=0)


def test_gradients_reach_every_network_that_encodes(family: tuple[ModelConfig, Networks]) -> None:
    config, networks = family
    for _, network in networks.items():
        network.requires_grad_(True)
    try:
        predicted(config, networks, clips_of(config, networks)).square().mean().backward()
        without = {"vae", "constant_context"}
        for name, network in networks.items():
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            assert name in without or any(gradient.any() for gradient in gradients), name
            assert all(gradient.isfinite().all() for gradient in gradients)
    finally:
        for _, network in networks.items():
            network.requires_grad_(False)
            network.zero_grad()


@torch.inference_mode()
def test_animation_of_a_clip_and_a_row_of_training_are_told_the_same() -> None:
    config = tiny_config(reference_posterior="mean")
    networks = tiny_networks(config)
    picture = portrait_image(SIZE, SIZE)
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[8:40, 16:48] = 1
    animator = Animator(LoadedModel(config, networks, Path("tiny")))
    crop = whole_crop((SIZE, SIZE), SIZE)
    portrait = Portrait(picture, crop, picture.astype(np.float32), picture, foreground, None)
    reference = animator.encode_reference(portrait)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIZE, SIZE), np.uint8)
    driving = encode_driving(networks.denoiser.driving_encoder, frames, reference.modulation)
    clips = Clips(
        unit_tensor(picture[None]),
        reference.static_channels[:, -1:, 0],
        reference.latents,
        animator.encode_latents(picture),
        {"driving": torch.from_numpy(frames)[None]},
        clip_pixels(background_image(picture, foreground), 32),
    )
    composed = compose(config, networks, clips, Kept())
    assert composed.driving_features is not None
    assert composed.driving_features.shape[:2] == (FRAMES, driving_width(config))
    conditions = composed.conditions
    for name in ("latents", "static_channels", "modulation"):
        assert torch.equal(getattr(conditions.reference, name), getattr(reference, name))
    assert torch.equal(conditions.driving.features, driving.features)
    assert torch.equal(conditions.background.tokens, encode_context(networks, picture, foreground).tokens)
