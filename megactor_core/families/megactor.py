"""MegActor (v1), arXiv 2405.20851."""

from __future__ import annotations

from ..models.config import ModelConfig
from .family import CheckpointLayout, Family, Kind, KnownFile
from .stable_diffusion import vae_files

CONFIG = ModelConfig()
"""What the defaults of ``ModelConfig`` stand for."""

_NAME = CONFIG.family
_FOLDER = f"official/{_NAME}"
_PUBLISHER = "HVSiniX/RawVideoDriven"

FAMILY = Family(
    label="MegActor",
    phrase="a MegActor (v1)",
    config=CONFIG,
    checkpoints=(Kind(_NAME, "a MegActor (v1) checkpoint", (".unet.condition_input_layer.refer_convs.",)),),
    parts=(Kind("denoiser", "a MegActor (v1) denoiser", (".condition_input_layer.refer_convs.",)),),
    layout=CheckpointLayout(
        parts={"unet.": "denoiser", "appearance_encoder.": "reference_network", "vae.": "vae"},
        wrapper="module.",
        ignored=("text_encoder.*",),
    ),
    places={
        "denoiser": ("StableDiffusion/unet",),
        "reference_network": ("appearance_encoder/appearance_encoder",),
        "vae": ("sd-vae-ft-mse",),
        "image_encoder": ("StableDiffusion/image_encoder",),
    },
    own_files=frozenset({"vae"}),
    files=(
        KnownFile(
            name="megactor-checkpoint",
            family=_NAME,
            file=f"{_FOLDER}/checkpoint-steps9000.ckpt",
            repository=_PUBLISHER,
            path="weights/checkpoint-steps9000.ckpt",
            licence="see the repository (unknown)",
            purpose="MegActor (v1): denoiser with motion modules and driving encoder, reference network",
        ),
        KnownFile(
            name="megactor-image-encoder",
            family=_NAME,
            file=f"{_FOLDER}/StableDiffusion/image_encoder/",
            repository=_PUBLISHER,
            path="weights/StableDiffusion/image_encoder/",
            licence="see the repository (unknown)",
            purpose="CLIP image encoder of the background picture",
        ),
        *vae_files(_NAME, _FOLDER),
        KnownFile(
            name="megactor-base-unet",
            family=_NAME,
            file=f"{_FOLDER}/StableDiffusion/unet/",
            repository=_PUBLISHER,
            path="weights/StableDiffusion/unet/",
            licence="CreativeML OpenRAIL-M (Stable Diffusion 1.5)",
            purpose="fills denoiser keys that the checkpoint lacks; normally none",
            required=False,
        ),
        KnownFile(
            name="megactor-base-reference",
            family=_NAME,
            file=f"{_FOLDER}/appearance_encoder/appearance_encoder/",
            repository=_PUBLISHER,
            path="weights/appearance_encoder/appearance_encoder/",
            licence="see the repository (unknown)",
            purpose="fills reference network keys that the checkpoint lacks; normally none",
            required=False,
        ),
    ),
    exported=True,
    public_flops=42.04e12,  # the reference network runs twice
)
