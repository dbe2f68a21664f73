"""Estimate the memory a clip needs before any work is done."""

from __future__ import annotations

import psutil
import torch

from megactor_core.errors import InputError
from megactor_core.sampling.sampler import SamplingSettings
from megactor_core.weights.loading import LoadedModel

# Working memory of one guided window as a multiple of one full-resolution hidden state; measured with
# benchmarks/full_size_step.py, which prints the peak.
_HIDDEN_STATES = 48
_PIXEL_BYTES = 4 * 24  # float32 values alive per pixel of a decoded frame and unit of the VAE's first width


def working_bytes(model: LoadedModel, settings: SamplingSettings, size: int, num_frames: int) -> int:
    """Bytes needed beside the loaded weights: activations of a window or of decoding, and the clip's latents.

    Args:
        model: loaded model.
        settings: window length and guidance.
        size: side of the picture in pixels.
        num_frames: frames of the clip.
    """
    config = model.config
    side = size // config.vae_scale_factor
    item = model.networks.denoiser.conv_in.weight.element_size()
    window = min(settings.context_length, num_frames)
    rows = 1 if settings.guidance_scale == 1 else 2
    hidden = window * side * side * config.denoiser.block_out_channels[0] * item
    activations = hidden * _HIDDEN_STATES * rows // 2
    decoding = size * size * config.vae["block_out_channels"][0] * _PIXEL_BYTES
    channels = config.vae["latent_channels"]
    latents = num_frames * side * side * (4 * 4 * channels + config.driving_encoder.out_channels * item)
    return max(activations, decoding) + latents


def check_memory(model: LoadedModel, settings: SamplingSettings, size: int, num_frames: int) -> None:
    """Refuse a clip that cannot fit.

    Raises:
        InputError: more memory is needed than the device has free; says how much and what helps.
    """
    device = model.networks.denoiser.conv_in.weight.device
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    elif device.type == "cpu":
        free = psutil.virtual_memory().available
    else:
        return  # other devices do not tell what is free
    needed = working_bytes(model, settings, size, num_frames)
    if needed > free:
        raise InputError(
            f"{num_frames} frames of {size}x{size} in windows of {settings.context_length}",
            f"need about {needed / 2**30:.1f} GiB beside the weights, {free / 2**30:.1f} GiB are free",
            "Use a smaller --size or --context-length, or a shorter driving video",
        )
