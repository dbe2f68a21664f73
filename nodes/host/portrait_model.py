"""A portrait model as the nodes pass it on: its networks in the host's hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE
from torch import Tensor

if TYPE_CHECKING:
    from ...megactor_core.models.audio_encoder import SpeechEncoder
    from ...megactor_core.models.config import ModelConfig
    from ...megactor_core.models.denoiser import Denoiser, HintReader, ReferenceWriter


@dataclass(frozen=True)
class HostNetworks:
    """Networks of sampling, on the device until the host needs the room."""

    denoiser: Denoiser
    reference_network: ReferenceWriter
    controls: Mapping[str, HintReader]


@dataclass(frozen=True, eq=False)
class PortraitModel:
    """Portrait model; the nodes' MEGACTOR_MODEL.

    Attributes:
        config: what the model is made of.
        source: the folder it was read from.
        denoiser: the host's handle on a ``NativeModel``; its ``diffusion_model`` is the denoiser.
        reference_network: the host's handle on the reference network.
        controls: the host's handles on the ControlNets, by name; empty where the model has none.
        vae: the model's own VAE.
        clip_vision: the model's own image encoder; None where it reads no background.
        context: tokens that take the background's place, ``(1, tokens, width)`` float32; None where it reads
            one.
        audio_encoder: the host's handle on the encoder of sound, ``Held``; None where it hears nothing.
    """

    config: ModelConfig
    source: Path
    denoiser: ModelPatcher
    reference_network: ModelPatcher
    controls: Mapping[str, ModelPatcher]
    vae: VAE
    clip_vision: ClipVisionModel | None
    context: Tensor | None
    audio_encoder: ModelPatcher | None

    @property
    def size(self) -> int:
        """Side of the square the model was made for, in pixels."""
        return self.config.defaults.size

    @property
    def device(self) -> torch.device:
        """Device on which the networks compute."""
        return self.denoiser.load_device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type that the networks compute in."""
        return self.denoiser.model.get_dtype_inference()

    def load(self, memory_required: int = 0) -> HostNetworks:
        """Bring what sampling runs onto the device; other models leave it where there is no room.

        Args:
            memory_required: bytes that the work will need beside the weights.
        """
        patchers = [self.denoiser, self.reference_network, *self.controls.values()]
        comfy.model_management.load_models_gpu(patchers, memory_required=memory_required)
        controls = {name: patcher.model for name, patcher in self.controls.items()}
        return HostNetworks(self.denoiser.model.diffusion_model, self.reference_network.model, controls)

    def load_controls(self, memory_required: int) -> dict[str, HintReader]:
        """Bring the ControlNets alone onto the device; see ``load``."""
        patchers = list(self.controls.values())
        comfy.model_management.load_models_gpu(patchers, memory_required=memory_required)
        return {name: patcher.model for name, patcher in self.controls.items()}

    def load_audio_encoder(self) -> SpeechEncoder:
        """Bring the encoder of sound onto the device."""
        assert self.audio_encoder is not None
        comfy.model_management.load_model_gpu(self.audio_encoder)
        return self.audio_encoder.model.network
