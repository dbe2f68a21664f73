"""Configuration of what can be trained: the autoencoder and the two stages of the denoiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..models.config import ModelConfig
from .section import Section


class AutoencoderTaskConfig(Section):
    """diffusers' AutoencoderKL on puppets that are rendered while it trains."""

    name: Literal["autoencoder"] = "autoencoder"
    size: int = Field(128, ge=32, multiple_of=8, description="side of the pictures in pixels")
    batch_size: int = Field(16, ge=1, description="pictures per batch")
    vae: dict[str, Any] = Field(description="keyword arguments of AutoencoderKL; scaling_factor is measured")
    l1_weight: float = Field(1.0, ge=0, description="weight of the absolute error of pixels in [-1, 1]")
    mse_weight: float = Field(4.0, ge=0, description="weight of the squared error")
    kl_weight: float = Field(1e-6, ge=0, description="weight of the divergence from the unit normal")
    feature_weight: float = Field(
        2.5, ge=1, description="error weight around eyes, brows and mouth; 1 elsewhere"
    )
    validation_pictures: int = Field(64, ge=1, description="held-out pictures whose PSNR is logged")


class PuppetClipsConfig(Section):
    """Clips of puppets: a target identity, and a driver of another identity with the same motion."""

    size: int = Field(512, ge=32, multiple_of=8, description="side of the pictures in pixels")
    references: int = Field(1, ge=1, description="identities per batch; each has one reference picture")
    frames: int = Field(12, ge=1, description="target frames per identity: one window of the denoiser")
    frame_rate: float = Field(25.0, gt=0, description="frames per second; less makes the frames differ more")
    whole_frame_rate: float = Field(
        0.0, ge=0, le=1, description="share of clips driven by the whole grey frame, not by the face on black"
    )


class ValidationConfig(Section):
    """Sampling of held-out clips."""

    clips: int = Field(4, ge=1, description="held-out clips")
    frames: int = Field(8, ge=1, description="frames of each")
    num_inference_steps: int = Field(10, ge=1, description="denoising steps")


class DenoiserTaskConfig(Section):
    """Denoiser, reference network and image encoder; stage and data are a matter of values."""

    name: Literal["denoiser"] = "denoiser"
    model: ModelConfig | None = Field(None, description="networks and schedules, with fresh weights")
    initial_weights: Path | None = Field(None, description="model folder to start from, instead of model")
    vae: Path | None = Field(
        None, description="folder with vae.safetensors and vae.json, with a model of fresh weights"
    )
    trainable: tuple[str, ...] = Field(
        ("denoiser.", "reference_network."),
        description="trained are parameters whose name (network.parameter) contains one of these",
    )
    motion_modules: bool = Field(
        True, description="run the temporal modules; off, frames are trained as pictures"
    )
    data: PuppetClipsConfig = PuppetClipsConfig()
    offset_noise: float = Field(
        0.1, ge=0, description="deviation of noise that is constant over a clip's pixels"
    )
    shared_noise: float = Field(
        0.0, ge=0, le=1, description="share of the noise's variance common to all frames"
    )
    timestep_power: float = Field(
        1.0, gt=0, description="t = 1000 u^(1/power) with u uniform: 1 is uniform, more favours noise"
    )
    start_share: float = Field(
        0.0, ge=0, le=1, description="share of clips trained at the last timestep, where sampling starts"
    )
    start_noise_scale: float = Field(
        1.0, ge=0, le=1, description="size of the noise of these clips: the noise_scale of sampling"
    )
    own_start: bool = Field(
        False,
        description="the other clips go on from the model's own first step, as in sampling; velocity only",
    )
    sample_latents: bool = Field(
        True, description="latents are samples of the VAE's posterior; off: its mean"
    )
    cached_batches: int = Field(
        0,
        ge=0,
        description="so many batches recur, their latents kept in the run's folder; 0: always new ones",
    )
    feature_weight: float = Field(
        1.0, ge=1, description="error weight around eyes, brows and mouth; 1 elsewhere"
    )
    change_weight: float = Field(
        0.0, ge=0, description="weight of the error of the changes from frame to frame: less flicker"
    )
    reference_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips trained without reference keys"
    )
    driver_consistency_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the difference between what two drivers of the same motion tell the denoiser",
    )
    auxiliary_weight: float = Field(
        0.0, ge=0, description="weight of a linear head that reads the motion from the driving features"
    )
    auxiliary_steps: int = Field(1, ge=1, description="steps over which that weight falls to 0")
    channels_last: bool = Field(False, description="memory format of the convolutions")
    export_precision: Literal["fp32", "fp16"] = Field("fp32", description="of the exported weights")
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _check_source(self) -> DenoiserTaskConfig:
        if (self.model is None) == (self.initial_weights is None):
            raise ValueError("give either model or initial_weights")
        if self.vae is not None and self.model is None:
            raise ValueError("vae goes with model; initial_weights have their own")
        if self.own_start and not self.start_share:
            raise ValueError("own_start needs a start_share: without it the first step is hardly trained")
        if self.cached_batches and self.sample_latents:
            raise ValueError("cached_batches keeps latents, so sample_latents must be false")
        return self


TASKS = {"autoencoder": AutoencoderTaskConfig, "denoiser": DenoiserTaskConfig}
TaskConfig = Annotated[AutoencoderTaskConfig | DenoiserTaskConfig, Field(discriminator="name")]
