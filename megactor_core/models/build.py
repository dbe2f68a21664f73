"""Build all networks of a portrait model from its config."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from .config import ModelConfig
from .reference import ReferenceNetwork
from .unet import DenoisingUNet


@dataclass(frozen=True)
class Networks:
    """The networks of one model: denoiser (with driving encoder), reference network, VAE, image encoder."""

    denoiser: DenoisingUNet
    reference_network: ReferenceNetwork
    vae: AutoencoderKL
    image_encoder: CLIPVisionModelWithProjection

    def items(self) -> list[tuple[str, nn.Module]]:
        """Networks by file name stem, in the order of the model folder."""
        return [(name, getattr(self, name)) for name in self.__dataclass_fields__]


def build_networks(config: ModelConfig) -> Networks:
    """Networks with fresh weights, in evaluation mode; under ``torch.device("meta")`` they cost nothing."""
    networks = Networks(
        denoiser=DenoisingUNet(config.denoiser, config.driving_encoder),
        reference_network=ReferenceNetwork(config.reference_network),
        vae=AutoencoderKL(**config.vae),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder)),
    )
    for _, network in networks.items():
        network.eval()
    return networks
