"""A portrait model as the nodes pass it on: its networks in the host's hands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE

if TYPE_CHECKING:
    from ...megactor_core.models.config import ModelConfig
    from ...megactor_core.models.controlnet import ControlNet
    from ...megactor_core.models.reference import ReferenceNetwork
    from .native_denoiser import NativeDenoiser


@dataclass(frozen=True)
class HostNetworks:
    """Denoiser and reference network, on the device until the host needs the room."""

    denoiser: NativeDenoiser
    reference_network: ReferenceNetwork

    @property
    def controls(self) -> dict[str, ControlNet]:
        """None: no model with ControlNets is loaded here."""
        return {}


@dataclass(frozen=True, eq=False)
class PortraitModel:
    """What travels as MEGACTOR_MODEL.

    Attributes:
        config: what the model is made of.
        source: the folder it was read from.
        denoiser: the host's handle on a ``NativeModel``; its ``diffusion_model`` is the denoiser.
        reference_network: the host's handle on the reference network.
        vae: the model's own VAE.
        clip_vision: the model's own image encoder.
    """

    config: ModelConfig
    source: Path
    denoiser: ModelPatcher
    reference_network: ModelPatcher
    vae: VAE
    clip_vision: ClipVisionModel

    @property
    def size(self) -> int:
        """Side of the square the model was made for, in pixels."""
        return self.config.defaults.size

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self.denoiser.load_device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type that the networks compute in."""
        return self.denoiser.model.get_dtype_inference()

    def load(self, memory_required: int = 0) -> HostNetworks:
        """Bring both networks onto the device; others leave it where there is no room.

        Args:
            memory_required: bytes that the work will need beside the weights.
        """
        patchers = [self.denoiser, self.reference_network]
        comfy.model_management.load_models_gpu(patchers, memory_required=memory_required)
        return HostNetworks(self.denoiser.model.diffusion_model, self.reference_network.model)


def load_portrait_model(folder: Path, *, disable_dynamic: bool = False) -> PortraitModel:
    """Load a model folder through the host; weights stay on its offload device until they are needed.

    Args:
        folder: of the model.
        disable_dynamic: never use the host's dynamic paging.

    Raises:
        InputError: as ``megactor_core.weights.loading.load_model``.
    """
    from ...megactor_core.errors import InputError
    from ...megactor_core.weights.loading import build_on_meta, load_network, read_config
    from .clip_vision import load_clip_vision
    from .latent_format import PortraitLatentFormat
    from .layers import host_patcher, inference_dtypes, use_host_layers
    from .native_denoiser import NativeDenoiser
    from .native_model import REFERENCE_NETWORK, NativeModel
    from .start_noise import add_run_wrapper
    from .vae import load_vae

    config = read_config(folder)
    if config.image_encoder is None:
        problem = f"is a model of the family {config.family}, which only the command line animates so far"
        raise InputError(folder, problem, "Choose a MegActor (v1) model")
    networks = build_on_meta(config, folder)
    offload_device = comfy.model_management.unet_offload_device()
    dtype, manual_cast = inference_dtypes(networks.denoiser)
    for name in ("denoiser", "reference_network"):
        network = getattr(networks, name)
        load_network(network, folder, name, offload_device, dtype)
        network.to(memory_format=torch.channels_last)
        use_host_layers(network)
    native_denoiser = NativeDenoiser.of(networks.denoiser, manual_cast)
    vae = load_vae(config, folder / "vae.safetensors")
    native = NativeModel(config, native_denoiser, PortraitLatentFormat(config, vae))
    denoiser = host_patcher(native, disable_dynamic)
    reference_network = host_patcher(networks.reference_network, disable_dynamic)
    denoiser.set_additional_models(REFERENCE_NETWORK, [reference_network])
    denoiser.cached_patcher_init = (_load_denoiser, (folder,))
    add_run_wrapper(denoiser)
    return PortraitModel(
        config=config,
        source=folder,
        denoiser=denoiser,
        reference_network=reference_network,
        vae=vae,
        clip_vision=load_clip_vision(config, folder / "image_encoder.safetensors"),
    )


def _load_denoiser(folder: Path, disable_dynamic: bool = False) -> ModelPatcher:
    """A fresh patcher of the same denoiser, for host features that need one of their own."""
    return load_portrait_model(folder, disable_dynamic=disable_dynamic).denoiser
