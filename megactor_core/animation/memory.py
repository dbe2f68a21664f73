"""Memory: what a clip will need, what is free, and what was used at most."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import torch

from ..errors import InputError
from ..models.config import ModelConfig
from ..models.networks import CONTROLS, build_networks
from ..sampling.sampler import SamplingSettings

_PIXEL_BYTES = 4 * 24  # float32 values alive per pixel of a decoded frame and unit of the VAE's first width


def working_bytes(
    config: ModelConfig, settings: SamplingSettings, size: int, num_frames: int, dtype: torch.dtype
) -> int:
    """Bytes needed beside the weights: activations of a window or of decoding, and the clip's latents.

    Args:
        config: of the model.
        settings: window length and guidance.
        size: side of the picture in pixels.
        num_frames: frames of the clip.
        dtype: of the weights and activations.
    """
    latent_space = config.latent_space
    cells = latent_space.cells(size) ** 2
    item = dtype.itemsize
    window = min(settings.context_length, num_frames)
    rows = 1 if settings.guidance_scale == 1 else 2
    activations = config.denoiser.activation_values(rows * latent_space.latents(window) * cells) * item
    decoding = size * size * latent_space.decoder_width * _PIXEL_BYTES
    driving = 0 if config.driving_encoder is None else config.driving_encoder.out_channels
    latents = latent_space.latents(num_frames) * cells * (4 * 4 * latent_space.channels + driving * item)
    tokens = 0 if config.audio_encoder is None else config.audio_encoder.tokens_per_frame
    sound = config.denoiser.audio_values(num_frames * tokens) * item
    return max(activations, decoding) + latents + sound


def hint_bytes(config: ModelConfig, size: int, num_frames: int, dtype: torch.dtype) -> int:
    """Bytes of main memory for what the ControlNets see of the whole clip; 0 for models without any."""
    if config.control_network is None:
        return 0
    values = config.control_network.hint_feature_values(num_frames * config.latent_space.cells(size) ** 2)
    return len(CONTROLS) * values * dtype.itemsize


def check_memory(
    config: ModelConfig,
    settings: SamplingSettings,
    size: int,
    num_frames: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    weights_loaded: bool,
) -> None:
    """Refuse a clip that cannot fit.

    Args:
        config, settings, size, num_frames, dtype: see ``working_bytes``.
        device: where it will run.
        weights_loaded: whether the weights are in memory already; else they are counted too.

    Raises:
        InputError: more memory is needed than the device has free; says how much and what helps.
    """
    free = free_bytes(device)
    if free is None:
        return
    needed = working_bytes(config, settings, size, num_frames, dtype)
    needed += 0 if weights_loaded else sum(weight_bytes(config, dtype).values())
    needed += hint_bytes(config, size, num_frames, dtype) if device.type == "cpu" else 0
    if needed > free:
        raise InputError(
            f"{num_frames} frames of {size}x{size} in windows of {settings.context_length}",
            f"about {needed / 2**30:.1f} GiB of memory are needed, {free / 2**30:.1f} GiB are free",
            "Use a smaller size or context length, bfloat16, or a shorter driving video",
        )


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; None where the device does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available if device.type == "cpu" else None


def peak_bytes(device: torch.device) -> int:
    """Most memory used so far: of the allocator on a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":
        # getrusage would count the peak of the process that started this one.
        status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
        return int(status.split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def weight_bytes(config: ModelConfig, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of each network's weights in ``dtype``, by the network's name."""
    with torch.device("meta"):
        networks = build_networks(config)
    return {
        name: sum(tensor.numel() for tensor in network.state_dict().values()) * dtype.itemsize
        for name, network in networks.items()
    }
