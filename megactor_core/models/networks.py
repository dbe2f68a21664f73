"""Build all networks of a portrait model from its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from ..errors import InputError
from .audio_encoder import SpeechEncoder, build_audio_encoder
from .config import ModelConfig
from .denoiser import Denoiser, HintReader, ReferenceWriter
from .kinds import DENOISERS
from .sd15.controlnet import ControlNet


class ConstantContext(nn.Module):
    """Tokens that come with the weights, ``(1, tokens, width)``; they stand where a text encoder would."""

    tokens: Tensor

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(1, tokens, width))


CONTROLS = ("face_control", "patch_control")
"""ControlNets of a model that is driven by them: for the whole face, and for the eyes and the mouth."""


@dataclass(frozen=True)
class Networks:
    """The networks of one model: denoiser (with driving encoder), reference network, VAE, and the optional.

    Exactly one of ``image_encoder`` and ``constant_context`` gives the context tokens.
    """

    denoiser: Denoiser
    reference_network: ReferenceWriter
    vae: AutoencoderKL
    image_encoder: CLIPVisionModelWithProjection | None = None
    constant_context: ConstantContext | None = None
    face_control: HintReader | None = None
    patch_control: HintReader | None = None
    audio_encoder: SpeechEncoder | None = None

    @property
    def controls(self) -> dict[str, HintReader]:
        """ControlNets by name, for the driver's whole face and for its eyes and mouth."""
        return {name: network for name in CONTROLS if (network := getattr(self, name)) is not None}

    def module(self, name: str) -> nn.Module:
        """One of them, as what holds its weights."""
        return getattr(self, name)

    def items(self) -> list[tuple[str, nn.Module]]:
        """Networks that the model has by file name stem, in the order of the model folder."""
        networks = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return [(name, network) for name, network in networks if network is not None]


def build_networks(config: ModelConfig) -> Networks:
    """Networks with fresh weights, in evaluation mode; under ``torch.device("meta")`` they cost nothing.

    Raises:
        InputError: the configuration contradicts itself.
    """
    try:
        return _build(config)
    except Exception as error:  # diffusers and transformers have errors of their own
        problem = f"describes no model that can be built ({error})"
        raise InputError(f"configuration of {config.family}", problem, "Convert it again") from error


def _build(config: ModelConfig) -> Networks:
    optional: dict[str, Any] = {}
    if config.image_encoder is not None:
        optional["image_encoder"] = CLIPVisionModelWithProjection(CLIPVisionConfig(**config.image_encoder))
    if config.constant_context:
        width = config.denoiser.cross_attention_dim
        optional["constant_context"] = ConstantContext(config.constant_context, width)
    if config.audio_encoder is not None:
        optional["audio_encoder"] = build_audio_encoder(config.audio_encoder)
    if config.control_network is not None:
        for name in CONTROLS:
            optional[name] = ControlNet(config.control_network)
    denoiser_class, reference_class = DENOISERS[config.denoiser.kind].networks()
    networks = Networks(
        denoiser=denoiser_class(config.denoiser, config.driving_encoder),
        reference_network=reference_class(config.reference_network),
        vae=AutoencoderKL(**config.vae),
        **optional,
    )
    for _, network in networks.items():
        network.eval()
    return networks
