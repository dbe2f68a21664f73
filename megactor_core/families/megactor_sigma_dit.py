"""MegActor-Sigma as a diffusion transformer, as in its paper (arXiv 2408.14975); none was released."""

from __future__ import annotations

from dataclasses import replace

from ..models.config import SchedulerConfig
from ..models.dit.config import DiTConfig
from . import megactor_sigma
from .family import CheckpointLayout, Family, Kind, KnownFile
from .stable_diffusion import vae_files

_SCHEDULE = SchedulerConfig(beta_start=1e-4, beta_end=0.02)
"""Of PixArt-alpha and Latte, which training starts from."""

CONFIG = replace(
    megactor_sigma.CONFIG,
    family="megactor-sigma-dit",
    denoiser=DiTConfig(in_channels=8, audio_dim=384),
    reference_network=DiTConfig(in_channels=4, out_channels=0, temporal_blocks="none"),
    constant_context=1,
    inference_scheduler=_SCHEDULE,
    training_scheduler=_SCHEDULE,
)

_NAME = CONFIG.family
_FOLDER = f"official/{_NAME}"
_NETWORKS = ("denoiser", "reference_network", "vae", "constant_context", "audio_encoder")

FAMILY = Family(
    label=megactor_sigma.FAMILY.label,
    phrase=megactor_sigma.FAMILY.phrase,
    config=CONFIG,
    checkpoints=(
        Kind(
            _NAME,
            "a MegActor-Sigma DiT checkpoint",
            (".denoiser.adaln_single.", ".denoiser.driving_encoder.", ".reference_network.adaln_single."),
        ),
    ),
    parts=(
        Kind(
            f"{_NAME}-denoiser",
            "a MegActor-Sigma DiT denoiser",
            (".adaln_single.", ".driving_encoder."),
            (".reference_network.",),
        ),
    ),
    layout=CheckpointLayout(parts={f"{network}.": network for network in _NETWORKS}, whole=True),
    places=dict.fromkeys(_NETWORKS, ()),
    files=(
        KnownFile(
            name="pixart-alpha-512",
            family=_NAME,
            file=f"{_FOLDER}/PixArt-XL-2-512x512/transformer/",
            repository="PixArt-alpha/PixArt-XL-2-512x512",
            path="transformer",
            licence="openrail++",
            purpose="a start for training: PixArt-alpha for 512 pixels, the spatial blocks; about 2.4 GB",
            required=False,
        ),
        KnownFile(
            name="latte-1",
            family=_NAME,
            file=f"{_FOLDER}/Latte-1/transformer/",
            repository="maxin-cn/Latte-1",
            path="transformer",
            licence="Apache-2.0",
            purpose="a start for training: Latte for 16 frames of 512 pixels, spatial and temporal blocks; "
            "about 4.2 GB",
            required=False,
        ),
        KnownFile(
            name=f"{_NAME}-audio-encoder",
            family=_NAME,
            file=f"{_FOLDER}/whisper-tiny/model.safetensors",
            repository="openai/whisper-tiny",
            path="model.safetensors",
            licence="Apache-2.0",
            purpose="speech features (Whisper tiny, of which the encoder is used)",
        ),
        *vae_files(_NAME, _FOLDER),
    ),
    exported=True,
)
