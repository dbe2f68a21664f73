"""VAE, image encoder and conditions in the host's hands give what the core gives."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import comfy.sd
import comfy.utils
import numpy as np
import pytest
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL as AutoencodingNetwork
from comfy.taesd.taesd import TAESD
from megactor_pack.megactor_core.animation.backend import CoreBackend
from megactor_pack.megactor_core.animation.encode import encode_reference
from megactor_pack.megactor_core.conditioning import background, driving, reference
from megactor_pack.megactor_core.conditioning.tensors import signed_tensor
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.models.conditions import DrivingFeatures
from megactor_pack.megactor_core.models.config import OFFICIAL_VAE, ModelConfig
from megactor_pack.megactor_core.vision.crops import whole_crop
from megactor_pack.megactor_core.vision.foreground import background_image
from megactor_pack.megactor_core.vision.portrait import Portrait
from megactor_pack.megactor_core.weights.folders import named_model_folder
from megactor_pack.megactor_core.weights.loading import LoadedModel, load_model
from megactor_pack.nodes.encode_background import EncodeBackground
from megactor_pack.nodes.encode_driving import EncodeDriving
from megactor_pack.nodes.encode_reference import EncodeReference
from megactor_pack.nodes.host.images import to_image, to_mask
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.host.vae import encode_posterior, load_vae
from safetensors.torch import save_file
from tiny_model import portrait_image
from torch import Tensor

SIZE = 96
PIXELS = np.clip(portrait_image(SIZE, SIZE) + np.random.default_rng(0).uniform(0, 1, (SIZE, SIZE, 3)), 0, 255)
PIXELS = PIXELS.astype(np.float32)
FOREGROUND = np.zeros((SIZE, SIZE), np.float32)
FOREGROUND[20:70, 30:60] = 1
PORTRAIT = Portrait(PIXELS, whole_crop((SIZE, SIZE), SIZE), PIXELS, PIXELS.astype(np.uint8), FOREGROUND, None)

Models = dict[str, tuple[PortraitModel, LoadedModel]]


@pytest.fixture(scope="module")
def models(tiny_folder: Path) -> Models:
    """The same weights in the host's hands and in the core's.

    The tiny model samples the posterior and has attention in its VAE, as the official one; the demo has
    neither, and more channels.
    """
    folders = {"tiny": tiny_folder, "demo": named_model_folder("demo")}
    return {name: (load_portrait_model(folder), load_model(folder)) for name, folder in folders.items()}


@pytest.fixture(params=["tiny", "demo"])
def pair(models: Models, request: pytest.FixtureRequest) -> tuple[PortraitModel, LoadedModel]:
    return models[request.param]


@pytest.fixture
def tiny(models: Models) -> PortraitModel:
    return models["tiny"][0]


def same(result: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal to the rounding of float32, relative to the largest value."""
    assert result.device == comfy.model_management.intermediate_device()
    torch.testing.assert_close(result, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def test_the_vae_gives_what_the_core_gives(pair: tuple[PortraitModel, LoadedModel]) -> None:
    vae, network = pair[0].vae, pair[1].networks.vae
    image = to_image(PIXELS.astype(np.uint8))
    mean = network.encode(signed_tensor(PIXELS.astype(np.uint8))).latent_dist.mean

    same(vae.encode(image), mean)

    frames = torch.cat([mean, -mean, mean / 2])
    expected = (network.decode(frames).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    same(vae.decode(frames), expected)
    assert vae.latent_channels == mean.shape[1] and vae.spacial_compression_decode() == 8
    tiled = vae.decode_tiled(frames, tile_x=8, tile_y=8, overlap=2)
    assert tiled.shape == expected.shape and (tiled - expected).abs().mean() < 0.1
    assert vae.encode_tiled(image, tile_x=64, tile_y=64, overlap=16).shape == mean.shape


def test_memory_of_a_small_vae_is_estimated_small(models: Models) -> None:
    shape, dtype = (16, 8, 64, 64), torch.float32
    full = comfy.sd.VAE(sd=TAESD().state_dict()).memory_used_decode(shape, dtype)
    assert models["demo"][0].vae.memory_used_decode(shape, dtype) == pytest.approx(full / 8)


def test_a_vae_in_stable_diffusions_shape_is_the_hosts_own(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoencoderKL(**OFFICIAL_VAE).eval().requires_grad_(False)
    save_file(network.state_dict(), tmp_path / "vae.safetensors")
    picture = PIXELS[:64, :64]

    vae = load_vae(ModelConfig(), tmp_path / "vae.safetensors")

    assert isinstance(vae, comfy.sd.VAE) and type(vae.first_stage_model) is AutoencodingNetwork
    posterior = network.encode(signed_tensor(picture.astype(np.uint8))).latent_dist
    mean, sample = encode_posterior(vae, picture, ModelConfig().latent_space, seed=7)
    same(mean, posterior.mean * 0.18215)
    same(sample, reference.sample_posterior(posterior.mean, posterior.std, 7) * 0.18215)
    expected = (network.decode(posterior.mean).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    same(vae.decode(posterior.mean.clone()), expected, 5e-5)


def test_the_reference_is_what_the_core_gives(pair: tuple[PortraitModel, LoadedModel]) -> None:
    model, loaded = pair
    expected = encode_reference(CoreBackend(loaded), PORTRAIT, seed=5)

    (result,) = EncodeReference.execute(model, to_image(PIXELS), to_mask(FOREGROUND), seed=5).args

    for name, tensor in vars(expected).items():
        same(getattr(result, name), tensor)


def test_the_seed_changes_only_what_is_sampled(models: Models) -> None:
    for name, follows in (("tiny", True), ("demo", False)):
        model = models[name][0]
        first, second = (
            EncodeReference.execute(model, to_image(PIXELS), to_mask(FOREGROUND), seed=seed).args[0]
            for seed in (1, 2)
        )
        assert torch.equal(first.latents, second.latents)
        assert torch.equal(first.static_channels, second.static_channels) != follows


def test_a_vae_that_does_not_fit_is_refused(models: Models, tiny: PortraitModel) -> None:
    approximate = comfy.sd.VAE(sd=TAESD().state_dict())
    for vae, message in ((models["demo"][0].vae, "8 channels.*needs 4 channels"), (approximate, "posterior")):
        with pytest.raises(InputError, match=f"vae: .*{message}.*link none"):
            EncodeReference.execute(tiny, to_image(PIXELS), to_mask(FOREGROUND), seed=1, vae=vae)


def test_portrait_and_person_must_be_of_one_picture(tiny: PortraitModel) -> None:
    image, mask = to_image(PIXELS), to_mask(FOREGROUND)
    for portrait, foreground, message in (
        (image.repeat(2, 1, 1, 1), mask, "portrait: is a batch of 2 pictures"),
        (image, mask[:, :40], "foreground of 96x40: the portrait is 96x96"),
    ):
        with pytest.raises(InputError, match=message):
            EncodeReference.execute(tiny, portrait, foreground, seed=1)


def test_the_background_is_what_the_core_gives(pair: tuple[PortraitModel, LoadedModel]) -> None:
    model, loaded = pair
    expected = background.encode_background(loaded.networks.image_encoder, PIXELS, FOREGROUND).tokens
    image = to_image(background_image(PIXELS, FOREGROUND))

    (result,) = EncodeBackground.execute(model, image).args

    # The host keeps image encoders in float16; the tiny model's weights have more digits.
    same(result.tokens, expected, 1e-5 if model.size == 128 else 2e-3)


def test_an_image_encoder_of_another_width_is_refused(models: Models, tiny: PortraitModel) -> None:
    with pytest.raises(InputError, match=r"clip_vision: gives tokens of width 64; the model needs 16"):
        EncodeBackground.execute(tiny, to_image(PIXELS), models["demo"][0].clip_vision)


def test_driving_features_are_what_the_core_gives(pair: tuple[PortraitModel, LoadedModel]) -> None:
    model, loaded = pair
    frames = np.random.default_rng(1).uniform(0, 255, (11, SIZE, SIZE)).astype(np.float32)
    encoder = loaded.networks.denoiser.driving_encoder
    modulation = encode_reference(CoreBackend(loaded), PORTRAIT, seed=0).modulation

    (result,) = EncodeDriving.execute(model, to_image(np.stack([frames] * 3, axis=-1))).args

    assert result.num_frames == 11
    same(
        driving.modulate_driving(encoder, result, modulation).features,
        driving.encode_driving(encoder, frames, modulation).features,
    )


def test_encoding_the_driver_can_be_followed_and_cancelled(tiny: PortraitModel) -> None:
    told: list[int] = []

    def follow(value: int, *_: object, **__: object) -> None:
        told.append(value)
        comfy.model_management.interrupt_current_processing()

    comfy.utils.set_progress_bar_global_hook(follow)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            EncodeDriving.execute(tiny, torch.zeros(40, SIZE, SIZE, 3))
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
        comfy.model_management.interrupt_current_processing(False)
    assert told == [8]
    assert isinstance(EncodeDriving.execute(tiny, torch.zeros(9, SIZE, SIZE, 3)).args[0], DrivingFeatures)
