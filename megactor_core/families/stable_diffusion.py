"""Published files of Stable Diffusion 1.5 that several families build on."""

from __future__ import annotations

from .family import KnownFile

_VAE = "stabilityai/sd-vae-ft-mse"
_VAE_COMMIT = "31f26fdeee1355a5c34592e401dd41e45d25a493"


def vae_files(family: str, folder: str) -> tuple[KnownFile, KnownFile]:
    """The fine-tuned autoencoder and its configuration, in ``sd-vae-ft-mse`` below a family's folder."""
    weights = KnownFile(
        name=f"{family}-vae",
        family=family,
        file=f"{folder}/sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
        repository=_VAE,
        revision=_VAE_COMMIT,
        path="diffusion_pytorch_model.safetensors",
        size=334_643_276,
        sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        licence="MIT",
        purpose="autoencoder between pictures and latents",
    )
    config = KnownFile(
        name=f"{family}-vae-config",
        family=family,
        file=f"{folder}/sd-vae-ft-mse/config.json",
        repository=_VAE,
        revision=_VAE_COMMIT,
        path="config.json",
        size=547,
        sha256="92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e",
        licence="MIT",
        purpose="configuration of the autoencoder",
    )
    return weights, config
