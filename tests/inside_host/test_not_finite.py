"""Pictures that are not numbers: the host's VAE decodes again in float32, and nodes refuse what stays so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.cli_args
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.models.config import OFFICIAL_VAE, ModelConfig
from megactor_pack.megactor_core.vision.crops import whole_crop
from megactor_pack.megactor_core.weights.saving import save_model
from megactor_pack.nodes.host.animation import HostAnimator
from megactor_pack.nodes.host.images import only_picture
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.native_clip import native_clip
from megactor_pack.nodes.host.paste import paste_frames
from megactor_pack.nodes.host.sampling import sample_clip
from megactor_pack.nodes.host.vae import PortraitVAE, encode_posterior, in_float32
from megactor_pack.nodes.sampling_inputs import sampling_settings
from test_native_model import ksampler, make_clip
from tiny_model import portrait_image, tiny_config, tiny_networks

from nodes import VAEDecode, VAEDecodeTiled

LATENTS = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def save_overflowing(folder: Path, config: ModelConfig) -> Path:
    """A model whose VAE is beyond float16 in its first layers, as some published ones; norms follow."""
    networks = tiny_networks(config)
    for layer in (networks.vae.decoder.conv_in, networks.vae.encoder.conv_in):
        layer.weight.mul_(1e5)
        layer.bias.mul_(1e5)
    save_model(config, networks, folder, torch.float32)
    return folder


@pytest.fixture
def vaes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same model as the host loads it ordinarily and with --fp16-vae."""
    folder = save_overflowing(tmp_path / "model", tiny_config())
    exact = load_portrait_model(folder)
    monkeypatch.setattr(comfy.cli_args.args, "fp16_vae", True)
    half = load_portrait_model(folder)
    assert (exact.vae.vae_dtype, half.vae.vae_dtype) == (torch.float32, torch.float16)
    return {"exact": exact, "half": half}


def test_a_vae_that_overflows_gives_right_pictures(vaes: dict[str, Any]) -> None:
    exact, half = vaes["exact"], vaes["half"]
    latent = {"samples": LATENTS}
    expected = VAEDecode().decode(exact.vae, latent)[0]
    assert expected.isfinite().all() and expected.std() > 0.01
    torch.testing.assert_close(VAEDecode().decode(half.vae, latent)[0], expected, atol=0.01, rtol=0)
    tiled = VAEDecodeTiled().decode(half.vae, latent, 64)[0]
    torch.testing.assert_close(tiled, VAEDecodeTiled().decode(exact.vae, latent, 64)[0], atol=0.01, rtol=0)

    scaled = half.config.latent_space.scaled(LATENTS.transpose(0, 1)[None])
    notes: list[str] = []
    frames = list(HostAnimator(half).decode(scaled, notes.append))
    np.testing.assert_allclose(np.stack(frames), (expected * 255).numpy(), atol=3)
    assert notes == ["the VAE overflows in its number format: frames are decoded in float32"]

    picture = portrait_image(64, 64)
    both = (encode_posterior(model.vae, picture, half.config.latent_space, 3) for model in (half, exact))
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)


def test_the_hosts_own_class_of_a_vae_works_in_float32_too() -> None:
    """The full-size one, which computes in float16 for minutes on a CPU."""
    with torch.device("meta"):
        network = AutoencoderKL(**OFFICIAL_VAE)
    weights = {name: torch.full(part.shape, 0.01) for name, part in network.state_dict().items()}
    half = PortraitVAE(sd=weights, dtype=torch.float16)
    exact = in_float32(half)
    assert (type(exact), exact.vae_dtype) == (PortraitVAE, torch.float32) and in_float32(exact) is exact
    ours, theirs = exact.get_sd(), half.get_sd()
    assert all(torch.equal(ours[name], theirs[name].float()) for name in theirs)


def test_a_vae_that_never_works_is_refused(model: Any) -> None:
    vae = model.vae
    latent = {"samples": torch.full((2, 4, 8, 8), float("nan"))}
    for decode in (lambda: VAEDecode().decode(vae, latent), lambda: VAEDecodeTiled().decode(vae, latent, 64)):
        with pytest.raises(InputError, match="a decoded frame: is not finite, even in float32"):
            decode()


def test_a_samplers_result_that_is_not_finite_is_refused(tiny_folder: Path) -> None:
    """The host's VAE Decode would make black frames of it."""
    model = load_portrait_model(tiny_folder)
    model.denoiser.model.diffusion_model.conv_out.bias.fill_(float("nan"))
    message = "the model's result: is not finite, even in float32. Leave out LoRAs"
    with pytest.raises(InputError, match=message):
        ksampler(model, make_clip(2))
    with pytest.raises(InputError, match=message):
        sample_clip(model, make_clip(2), sampling_settings(model.config))


def test_conditions_that_are_not_finite_are_refused(model: Any) -> None:
    clip = make_clip(2)
    clip.reference.latents[0, 0, 0, 0] = float("inf")
    for apply in (native_clip, sample_clip):
        with pytest.raises(InputError, match="the encoded portrait: is not finite"):
            apply(model, clip, sampling_settings(model.config))


def test_pictures_that_are_not_numbers_are_refused() -> None:
    """As of another VAE that overflowed."""
    black = torch.full((1, 64, 64, 3), float("nan"))
    image = torch.zeros(1, 64, 64, 3)
    with pytest.raises(InputError, match="not numbers"):
        only_picture(black, "portrait")
    with pytest.raises(InputError, match="not numbers"):
        paste_frames(black, whole_crop((64, 64), 64), image, None)
