"""The configurations of the published models, one per family."""

from __future__ import annotations

from .config import ModelConfig, SamplingDefaults, SchedulerConfig
from .encoder_config import AudioEncoderConfig, DrivingEncoderConfig
from .sd15.config import UNetConfig

MEGACTOR = ModelConfig()
"""MegActor (v1), arXiv 2405.20851."""

MEGACTOR_SIGMA = ModelConfig(
    family="megactor-sigma",
    denoiser=UNetConfig(in_channels=8, motion_in_middle=True, audio_dim=384),
    driving_encoder=DrivingEncoderConfig(reference_channels=(), black_unconditional=True),
    image_encoder=None,
    constant_context=77,
    audio_encoder=AudioEncoderConfig(),
    reference_posterior="mean",
    start="reference",
    framing="head",
    driving_modes=("eyes_mouth", "eyes"),
    defaults=SamplingDefaults(context_overlap=0, window_grid="shifted"),
)
"""MegActor-Sigma, the released model on Stable Diffusion 1.5 (arXiv 2408.14975)."""

_SQRT_LINEAR = SchedulerConfig(beta_schedule="scaled_linear", set_alpha_to_one=False, step_rule="stride")
_PLAIN_UNET = UNetConfig(
    in_channels=4, out_channels=0, norm_over_frames=False, motion_modules=False, reading_levels="all"
)

XPORTRAIT = ModelConfig(
    family="xportrait",
    denoiser=UNetConfig(
        in_channels=4,
        norm_over_frames=False,
        motion_after_upsampler=True,
        motion_max_positions=24,
        reading_levels="all",
    ),
    driving_encoder=None,
    reference_network=_PLAIN_UNET,
    control_network=_PLAIN_UNET,
    image_encoder=None,
    constant_context=77,
    reference_posterior="mean",
    start="reference",
    antialiased_crops=True,
    driving_modes=("hints",),
    inference_scheduler=_SQRT_LINEAR,
    training_scheduler=_SQRT_LINEAR,
    defaults=SamplingDefaults(
        num_inference_steps=30, guidance_scale=5.0, context_overlap=4, window_grid="random"
    ),
)
"""X-Portrait (arXiv 2403.15931): Stable Diffusion 1.5 with two ControlNets.

Its public code draws the reference's latent anew for every frame; the mean flickers less.
"""
