"""Model folders into the host's hands, network by network."""

from __future__ import annotations

import logging
from pathlib import Path

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...megactor_core.animation.checks import check_base
from ...megactor_core.models.networks import Networks
from ...megactor_core.weights.base_model import swap_base
from ...megactor_core.weights.frozen_base import check_base_record
from ...megactor_core.weights.loading import build_on_meta, load_network, read_config
from ...megactor_core.weights.tensor_files import open_tensor_file
from .clip_vision import load_clip_vision
from .latent_format import PortraitLatentFormat
from .native.denoiser import NativeDenoiser
from .native.layers import Held, host_patcher, inference_dtypes, use_host_layers
from .native.model import CONTROLS, REFERENCE_NETWORK, NativeModel
from .native.start_noise import add_run_wrapper
from .portrait_model import PortraitModel
from .vae import load_vae


def load_portrait_model(
    folder: Path, *, base: Path | None = None, disable_dynamic: bool = False
) -> PortraitModel:
    """Load a model folder through the host; weights stay on its offload device until they are needed.

    Args:
        folder: of the model.
        base: another SD1.5 checkpoint for its denoiser, see ``megactor_core.weights.base_model``.
        disable_dynamic: never use the host's dynamic paging.

    Raises:
        InputError: as ``megactor_core.weights.loading.load_model`` and ``swap_base``.
    """
    config = read_config(folder)
    networks = build_on_meta(config, folder)
    dtype, manual_cast = inference_dtypes(networks.module("denoiser"))
    _fill(networks, "denoiser", folder, dtype, base)
    if base is not None:
        check_base(config)
        swap_base(networks.module("denoiser"), base)
        check_base_record(folder, networks.module("denoiser"), base)
        if choice := open_tensor_file(base).choice:
            logging.info("MegActor: %s: %s", base.name, choice)
    native_denoiser = NativeDenoiser.of(networks.denoiser, manual_cast)
    vae = load_vae(config, folder / "vae.safetensors")
    native = NativeModel(config, native_denoiser, PortraitLatentFormat(config, vae))
    denoiser = host_patcher(native, disable_dynamic)

    def hold(name: str, dtype: torch.dtype) -> ModelPatcher:
        return host_patcher(_fill(networks, name, folder, dtype), disable_dynamic)

    reference_network = hold("reference_network", dtype)
    controls = {name: hold(name, dtype) for name in networks.controls}
    # a few million weights whose rounding would be heard by all the others
    audio_encoder = None
    if networks.audio_encoder is not None:
        audio_encoder = host_patcher(
            Held(_fill(networks, "audio_encoder", folder, torch.float32)), disable_dynamic
        )
    denoiser.set_additional_models(REFERENCE_NETWORK, [reference_network])
    denoiser.set_additional_models(CONTROLS, list(controls.values()))
    denoiser.cached_patcher_init = (_load_denoiser, (folder, base))
    add_run_wrapper(denoiser)
    image_encoder = folder / "image_encoder.safetensors"
    return PortraitModel(
        config=config,
        source=folder,
        denoiser=denoiser,
        reference_network=reference_network,
        controls=controls,
        vae=vae,
        clip_vision=load_clip_vision(config, image_encoder) if config.image_encoder is not None else None,
        context=_constant_context(networks, folder),
        audio_encoder=audio_encoder,
    )


def _fill(
    networks: Networks, name: str, folder: Path, dtype: torch.dtype, base: Path | None = None
) -> torch.nn.Module:
    """One of the networks with the weights of its file and the host's layers, on the offload device."""
    network = getattr(networks, name)
    load_network(network, folder, name, comfy.model_management.unet_offload_device(), dtype, base)
    network.to(memory_format=torch.channels_last)
    use_host_layers(network)
    return network


def _constant_context(networks: Networks, folder: Path) -> Tensor | None:
    context = networks.constant_context
    if context is None:
        return None
    device = comfy.model_management.intermediate_device()
    load_network(context, folder, "constant_context", device, torch.float32)
    return context.tokens


def _load_denoiser(folder: Path, base: Path | None, disable_dynamic: bool = False) -> ModelPatcher:
    """A fresh patcher of the same denoiser, for host features that need one of their own."""
    return load_portrait_model(folder, base=base, disable_dynamic=disable_dynamic).denoiser
