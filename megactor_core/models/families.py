"""The configurations of the published models, one per family."""

from __future__ import annotations

from .config import (
    AudioEncoderConfig,
    DrivingEncoderConfig,
    ModelConfig,
    SamplingDefaults,
    UNetConfig,
)

MEGACTOR = ModelConfig()
"""MegActor (v1), arXiv 2405.20851."""

MEGACTOR_SIGMA = ModelConfig(
    family="megactor_sigma",
    denoiser=UNetConfig(in_channels=8, motion_in_middle=True, audio_dim=384),
    driving_encoder=DrivingEncoderConfig(reference_channels=(), black_unconditional=True),
    image_encoder=None,
    constant_context=77,
    audio_encoder=AudioEncoderConfig(),
    reference_posterior="mean",
    start="reference",
    defaults=SamplingDefaults(context_overlap=0, window_grid="shifted"),
)
"""MegActor-Sigma, the released model on Stable Diffusion 1.5 (arXiv 2408.14975)."""
