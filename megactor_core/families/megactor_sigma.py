"""MegActor-Sigma, the released model on Stable Diffusion 1.5 (arXiv 2408.14975)."""

from __future__ import annotations

from ..models.config import ModelConfig, SamplingDefaults
from ..models.encoder_config import AudioEncoderConfig, DrivingEncoderConfig
from ..models.sd15.config import UNetConfig
from .family import CheckpointLayout, Family, Kind, KnownFile
from .stable_diffusion import vae_files

CONFIG = ModelConfig(
    family="megactor-sigma",
    denoiser=UNetConfig(in_channels=8, motion_in_middle=True, audio_dim=384),
    driving_encoder=DrivingEncoderConfig(reference_channels=(), black_unconditional=True),
    image_encoder=None,
    constant_context=77,
    audio_encoder=AudioEncoderConfig(),
    concatenated_reference=False,
    reference_posterior="mean",
    start="reference",
    framing="head",
    driving_modes=("eyes_mouth", "eyes"),
    defaults=SamplingDefaults(context_overlap=0, window_grid="shifted"),
)

_NAME = CONFIG.family
_FOLDER = f"official/{_NAME}"
_PUBLISHER = "HVSiniX/RawVideoDriven"

FAMILY = Family(
    label="MegActor-Sigma",
    phrase="a MegActor-Sigma",
    config=CONFIG,
    checkpoints=(Kind(_NAME, "a MegActor-Sigma checkpoint", (".unet.", ".attn_audio.")),),
    parts=(Kind(f"{_NAME}-denoiser", "a MegActor-Sigma denoiser", (".attn_audio.",), (".adaln_single.",)),),
    layout=CheckpointLayout(
        parts={"unet.": "denoiser", "appearance_encoder.": "reference_network", "vae.": "vae"},
        wrapper="module.",
        ignored=("text_encoder.*",),
    ),
    places={
        "denoiser": ("StableDiffusion/unet",),
        "reference_network": (),
        "vae": ("sd-vae-ft-mse",),
        "constant_context": ("sd15_empty_str_embedding.pt",),
        "audio_encoder": ("whisper_tiny.pt", "whisper-tiny"),
    },
    own_files=frozenset({"vae"}),
    files=(
        KnownFile(
            name="megactor-sigma-checkpoint",
            family=_NAME,
            file=f"{_FOLDER}/megactor-sigma.ckpt",
            repository=_PUBLISHER,
            path="weights/megactor-sigma.ckpt",
            licence="see the repository (unknown)",
            purpose="MegActor-Sigma: denoiser with motion modules, audio attention and driving encoder, and "
            "reference network",
        ),
        KnownFile(
            name="megactor-sigma-constant-context",
            family=_NAME,
            file=f"{_FOLDER}/sd15_empty_str_embedding.pt",
            repository=_PUBLISHER,
            path="weights/sd15_empty_str_embedding.pt",
            licence="see the repository (unknown)",
            purpose="the embedding of the empty text, which stands where Stable Diffusion reads its prompt",
        ),
        KnownFile(
            name="megactor-sigma-audio-encoder",
            family=_NAME,
            file=f"{_FOLDER}/whisper-tiny/model.safetensors",
            repository="openai/whisper-tiny",
            path="model.safetensors",
            licence="Apache-2.0",
            purpose="speech features (Whisper tiny, of which the encoder is used)",
        ),
        *vae_files(_NAME, _FOLDER),
    ),
)
