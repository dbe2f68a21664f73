"""Configuration of what can be trained: the autoencoder and the two stages of the denoiser."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AutoencoderTaskConfig(_Section):
    """diffusers' AutoencoderKL on puppets that are rendered while it trains."""

    name: Literal["autoencoder"] = "autoencoder"
    size: int = Field(128, ge=32, multiple_of=8, description="side of the pictures in pixels")
    batch_size: int = Field(16, ge=1, description="pictures per batch")
    vae: dict[str, Any] = Field(description="keyword arguments of AutoencoderKL; scaling_factor is measured")
    l1_weight: float = Field(1.0, ge=0, description="weight of the absolute error of pixels in [-1, 1]")
    mse_weight: float = Field(4.0, ge=0, description="weight of the squared error")
    kl_weight: float = Field(1e-6, ge=0, description="weight of the divergence from the unit normal")
    feature_weight: float = Field(2.5, ge=1, description="error weight around eyes, brows and mouth; 1 elsewhere")
    validation_pictures: int = Field(64, ge=1, description="held-out pictures whose PSNR is logged")


TaskConfig = AutoencoderTaskConfig
