"""The model's autoencoder as the host's VAE, and the posterior that the host itself does not give out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import numpy as np
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL as HostAutoencoderKL
from torch import Tensor, nn

from ...megactor_core.conditioning.reference import sample_posterior
from ...megactor_core.conditioning.tensors import signed_tensor
from ...megactor_core.errors import InputError
from ...megactor_core.models.config import OFFICIAL_VAE, LatentSpace, ModelConfig
from ...megactor_core.precision import CHECK_WEIGHTS, all_finite, not_finite
from ...megactor_core.sampling.decode import CHECK_FRAMES, OVERFLOW_NOTE

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

# What the host's own classes are made of; they cannot be built with other groups or without attention.
_STABLE_DIFFUSION = {
    **{key: value for key, value in OFFICIAL_VAE.items() if key not in ("sample_size", "scaling_factor")},
    "mid_block_add_attention": True,
}
_STABLE_DIFFUSION_WIDTH = LatentSpace.of(OFFICIAL_VAE).decoder_width
_SMALLEST: dict[str, Any] = {
    "embed_dim": 1,
    "ddconfig": {
        "ch": 32,
        "ch_mult": (1,),
        "num_res_blocks": 0,
        "attn_resolutions": (),
        "in_channels": 3,
        "out_ch": 3,
        "resolution": 8,
        "z_channels": 1,
        "double_z": True,
    },
}


MemoryUsed = Callable[[Sequence[int], torch.dtype], float]
"""Bytes that the host expects a batch of a shape to need."""


def load_vae(config: ModelConfig, path: Path) -> comfy.sd.VAE:
    """The VAE of a model folder in the host's hands: its memory management, tiling and number formats.

    Args:
        config: of the model.
        path: ``vae.safetensors`` in the model folder.

    Returns:
        The host's object: pictures ``(n, H, W, 3)`` in 0..1 to and from unscaled latents ``(n, c, h, w)``.

    Raises:
        InputError: as ``megactor_core.weights.loading.load_network``.
    """
    from diffusers import AutoencoderKL

    from ...megactor_core.weights.loading import load_network

    with torch.device("meta"):
        network = AutoencoderKL(**config.vae).eval()
    # the host's choice for its own VAEs
    device = comfy.model_management.vae_device()
    dtype = comfy.model_management.vae_dtype(device, [torch.bfloat16, torch.float32])
    load_network(network, path.parent, path.stem, comfy.model_management.vae_offload_device(), dtype)
    if all(network.config[key] == value for key, value in _STABLE_DIFFUSION.items()):
        return PortraitVAE(sd=network.state_dict(), dtype=dtype)
    return DiffusersVAE(network, config, dtype)


class PortraitVAE(comfy.sd.VAE):
    """The host's VAE object, whose pictures are numbers.

    Where it overflows in its own type, as many do in float16, it decodes in float32.
    """

    def decode(self, *arguments: Any, **options: Any) -> Tensor:
        """As the host's.

        Raises:
            InputError: the pictures are not numbers in float32 either.
        """
        pictures = super().decode(*arguments, **options)
        return self._numbers(pictures, lambda vae: vae.decode(*arguments, **options))

    def decode_tiled(self, *arguments: Any, **options: Any) -> Tensor:
        """As the host's; see ``decode``."""
        pictures = super().decode_tiled(*arguments, **options)
        return self._numbers(pictures, lambda vae: vae.decode_tiled(*arguments, **options))

    @cached_property
    def exact(self) -> comfy.sd.VAE:
        """The VAE's computation in float32."""
        return in_float32(self)

    def _numbers(self, pictures: Tensor, decode_again: Callable[[comfy.sd.VAE], Tensor]) -> Tensor:
        if not pictures.isnan().any():
            return pictures
        if self.exact is self:
            raise not_finite("a decoded frame", torch.float32, CHECK_FRAMES)
        logging.info("VAE: %s", OVERFLOW_NOTE)
        return decode_again(self.exact)


def in_float32(vae: comfy.sd.VAE) -> comfy.sd.VAE:
    """A VAE of the same weights that computes in float32; the same object where it does already.

    Args:
        vae: one that ``check_vae`` accepts.
    """
    if isinstance(vae, PortraitVAE) and "exact" in vars(vae):
        return vae.exact
    if vae.vae_dtype == torch.float32:
        return vae
    device = comfy.model_management.vae_offload_device()
    weights = {name: weight.to(device, torch.float32) for name, weight in vae.get_sd().items()}
    if not isinstance(vae, DiffusersVAE):
        return PortraitVAE(sd=weights, dtype=torch.float32)
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        network = AutoencoderKL(**vae.config.vae).eval()
    network.load_state_dict(weights, assign=True)
    return DiffusersVAE(network, vae.config, torch.float32)


class DiffusersVAE(PortraitVAE):
    """The host's VAE object around an autoencoder of a shape that the host has no class for.

    Args:
        network: with its weights in ``dtype``.
        config: of the model.
        dtype: what the host computes VAEs in.
    """

    def __init__(self, network: AutoencoderKL, config: ModelConfig, dtype: torch.dtype) -> None:
        from .native.layers import use_host_layers

        # The constructor sets all that the host's methods read, but it builds its network itself: it is given
        # the smallest there is, and that is replaced.
        sd = HostAutoencoderKL(**_SMALLEST).state_dict()
        super().__init__(sd=sd, config={"params": _SMALLEST}, dtype=dtype)
        self.config = config
        latent_space = config.latent_space
        self.latent_channels = latent_space.channels
        self.downscale_ratio = self.upscale_ratio = latent_space.pixels_per_cell
        self.first_stage_model = Autoencoder(network).eval()
        use_host_layers(self.first_stage_model)
        comfy.model_management.archive_model_dtypes(self.first_stage_model)
        self.patcher = comfy.model_patcher.CoreModelPatcher(
            self.first_stage_model,
            load_device=self.device,
            offload_device=comfy.model_management.vae_offload_device(),
        )
        self.size = comfy.model_management.module_size(self.first_stage_model)
        width = latent_space.decoder_width / _STABLE_DIFFUSION_WIDTH
        cell = width * self.upscale_ratio**2 / 8**2
        encoding: MemoryUsed = self.memory_used_encode  # type: ignore[has-type]
        decoding: MemoryUsed = self.memory_used_decode  # type: ignore[has-type]
        self.memory_used_encode = lambda shape, dtype: encoding(shape, dtype) * width
        self.memory_used_decode = lambda shape, dtype: decoding(shape, dtype) * cell


class Autoencoder(nn.Module):
    """diffusers' autoencoder, under its own key names, with the call signatures of the host's.

    Args:
        network: whose layers are used.
    """

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.quant_conv = network.quant_conv
        self.post_quant_conv = network.post_quant_conv
        self.decoder = network.decoder

    def encode(self, pixels: Tensor) -> Tensor:
        """Posterior mean ``(n, c, h, w)`` of pictures ``(n, 3, H, W)`` in [-1, 1]."""
        return self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(n, 3, H, W)`` about [-1, 1] of unscaled latents ``(n, c, h, w)``."""
        return self.decoder(self.post_quant_conv(latents))


def check_vae(vae: comfy.sd.VAE, config: ModelConfig) -> None:
    """Refuse a VAE that the model cannot work with.

    Raises:
        InputError: another number of channels or pixels per cell, or a VAE without a posterior.
    """
    remedy = "Use the VAE of Load MegActor Model, or link none"
    needed = config.latent_space.channels, config.latent_space.pixels_per_cell
    given = vae.latent_channels, vae.downscale_ratio
    if given != needed:
        raise InputError(
            "vae",
            f"makes latents of {given[0]} channels, one cell for {given[1]} pixels; "
            f"the model needs {needed[0]} channels and {needed[1]} pixels",
            remedy,
        )
    if not isinstance(vae.first_stage_model, (HostAutoencoderKL, Autoencoder)):
        raise InputError("vae", "gives no posterior, as approximate decoders do", remedy)


@torch.inference_mode()
def encode_posterior(
    vae: comfy.sd.VAE, picture: np.ndarray, latent_space: LatentSpace, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """Scaled latents of the portrait: the posterior's mean, and what joins the noisy latent.

    Args:
        vae: one that ``check_vae`` accepts.
        picture: ``(H, W, 3)``, 0..255, any real dtype; truncated to whole numbers as in the core.
        latent_space: of the model; the host's latents are unscaled.
        seed: of the posterior's sample; None takes the mean twice.

    Returns:
        Two float32 tensors ``(1, c, h, w)`` on the VAE's device.

    Raises:
        InputError: they are not finite in float32 either.
    """
    pixels = signed_tensor(picture.astype(np.uint8))
    moments = _moments(vae, pixels)
    if not all_finite(moments):
        moments = _moments(in_float32(vae), pixels)
        if not all_finite(moments):
            raise not_finite("an encoded picture", torch.float32, CHECK_WEIGHTS)
    mean, log_variance = moments.chunk(2, dim=1)
    concatenated = mean
    if seed is not None:
        # the bounds are those of diffusers' DiagonalGaussianDistribution
        concatenated = sample_posterior(mean, torch.exp(log_variance.clamp(-30, 20) / 2), seed)
    return latent_space.scaled(mean), latent_space.scaled(concatenated)


def _moments(vae: comfy.sd.VAE, pixels: Tensor) -> Tensor:
    memory = vae.memory_used_encode(pixels.shape, vae.vae_dtype)
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=memory)
    network = vae.first_stage_model
    return network.quant_conv(network.encoder(pixels.to(vae.device, vae.vae_dtype))).float()
