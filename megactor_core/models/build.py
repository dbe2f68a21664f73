"""Build all networks of a portrait model from its config."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from .config import ModelConfig
from .constant_context import ConstantContext
from .reference import ReferenceNetwork
from .unet import DenoisingUNet


@dataclass(frozen=True)
class Networks:
    """The networks of one model: denoiser (with driving encoder), reference network, VAE, and the optional.

    Exactly one of ``image_encoder`` and ``constant_context`` gives the context tokens.
    """

    denoiser: DenoisingUNet
    reference_network: ReferenceNetwork
    vae: AutoencoderKL
    image_encoder: CLIPVisionModelWithProjection | None = None
    constant_context: ConstantContext | None = None

    def items(self) -> list[tuple[str, nn.Module]]:
        """Networks that the model has by file name stem, in the order of the model folder."""
        networks = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return [(name, network) for name, network in networks if network is not None]


def build_networks(config: ModelConfig) -> Networks:
    """Networks with fresh weights, in evaluation mode; under ``torch.device("meta")`` they cost nothing."""
    optional: dict[str, nn.Module] = {}
    if config.image_encoder is not None:
        optional["image_encoder"] = CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder))
    if config.constant_context:
        width = config.denoiser.cross_attention_dim
        optional["constant_context"] = ConstantContext(config.constant_context, width)
    networks = Networks(
        denoiser=DenoisingUNet(config.denoiser, config.driving_encoder),
        reference_network=ReferenceNetwork(config.reference_network),
        vae=AutoencoderKL(**config.vae),
        **optional,  # type: ignore[arg-type]
    )
    for _, network in networks.items():
        network.eval()
    return networks
