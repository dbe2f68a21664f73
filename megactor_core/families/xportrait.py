"""X-Portrait (arXiv 2403.15931): Stable Diffusion 1.5 with two ControlNets."""

from __future__ import annotations

from ..models.config import ModelConfig, SamplingDefaults, SchedulerConfig
from ..models.sd15.config import UNetConfig
from .family import CheckpointLayout, Family, Kind, KnownFile

_SQRT_LINEAR = SchedulerConfig(beta_schedule="scaled_linear", set_alpha_to_one=False, step_rule="stride")
_PLAIN_UNET = UNetConfig(
    in_channels=4, out_channels=0, norm_over_frames=False, motion_modules=False, reading_levels="all"
)

# The public code draws the reference's latent anew for every frame; the mean flickers less.
CONFIG = ModelConfig(
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
    concatenated_reference=False,
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

_NAME = CONFIG.family
_CHECKPOINT = "an X-Portrait checkpoint"

FAMILY = Family(
    label="X-Portrait",
    phrase="an X-Portrait",
    config=CONFIG,
    checkpoints=(
        Kind(_NAME, _CHECKPOINT, (".appearance_control_model.",)),
        Kind(_NAME, _CHECKPOINT, (".input_blocks_motion_module.",)),
    ),
    layout=CheckpointLayout(
        parts={
            "model.diffusion_model.": "denoiser",
            "appearance_control_model.": "reference_network",
            "pose_control_model.": "face_control",
            "local_pose_control_model.": "patch_control",
            "first_stage_model.": "vae",
            "cond_stage_model.transformer.": "text_encoder",
        },
        naming="compvis",
        ignored=(
            "model_ema.*",  # averaged weights beside the others
            "appearance_control_model.input_hint_block.*",  # never called
            "cond_stage_model.transformer.*.position_ids",
        ),
        cut_reference=True,
    ),
    places={
        "denoiser": ("StableDiffusion/unet",),
        "reference_network": (),
        "face_control": (),
        "patch_control": (),
        "vae": ("vae",),
        "constant_context": ("sd15_empty_str_embedding.pt",),
    },
    files=(
        KnownFile(
            name="xportrait-checkpoint",
            family=_NAME,
            file=f"official/{_NAME}/model_state-415001.th",
            repository="fffiloni/X-Portrait",
            path="model_state-415001.th",
            licence="CreativeML OpenRAIL-M (this copy; the code is Apache-2.0)",
            purpose="X-Portrait: denoiser, reference network, two ControlNets, autoencoder, text encoder; "
            "about 12.3 GB, 6 GB after conversion",
        ),
    ),
    public_flops=63.6e12,  # the reference network runs for every frame
)
