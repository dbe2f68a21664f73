"""MegActor-Sigma as a diffusion transformer, as in its paper (arXiv 2408.14975); none was released."""

from __future__ import annotations

from dataclasses import replace

from ..models.config import SchedulerConfig
from ..models.dit.config import DiTConfig
from . import megactor_sigma
from .family import CheckpointLayout, Family, Kind
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

FAMILY = Family(
    label="MegActor-Sigma DiT",
    phrase="a MegActor-Sigma DiT",
    config=CONFIG,
    checkpoints=(
        Kind(_NAME, "a MegActor-Sigma DiT checkpoint", (".denoiser.adaln_single.", ".attn_audio.")),
    ),
    parts=(Kind(f"{_NAME}-denoiser", "a MegActor-Sigma DiT denoiser", (".adaln_single.", ".attn_audio.")),),
    layout=CheckpointLayout(
        parts={"denoiser.": "denoiser", "reference_network.": "reference_network", "vae.": "vae"}
    ),
    places={
        "denoiser": (),
        "reference_network": (),
        "vae": ("sd-vae-ft-mse",),
        "constant_context": (),
        "audio_encoder": ("whisper_tiny.pt", "whisper-tiny"),
    },
    own_files=frozenset({"vae"}),
    files=vae_files(_NAME, _FOLDER),
)
