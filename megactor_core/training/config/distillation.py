"""Configuration of distillation: a model learns to paint in a few steps what takes it many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ... import limits
from ...section import Section

Guidance = Annotated[float, Field(ge=0, le=limits.GUIDANCE)]
Steps = Annotated[int, Field(ge=1, le=50)]


class ConsistencyConfig(Section):
    """Latent consistency (Luo et al. 2023): all along its teacher's way a model sees the same clip."""

    objective: Literal["consistency"]
    num_inference_steps: Steps = Field(4, description="of the exported model")
    guidance: tuple[Guidance, Guidance] = Field(
        (1.5, 4.5),
        description="least and most guidance of the teacher, drawn for each clip; [1, 1] for one without",
    )
    teacher_steps: int = Field(
        50, ge=2, le=limits.STEPS, description="of the teacher's whole way; one lies between two predictions"
    )
    huber: float = Field(
        1e-3, gt=0, le=1, description="errors of the latents well below it count squared, larger ones simply"
    )

    @model_validator(mode="after")
    def _check_guidance(self) -> ConsistencyConfig:
        if self.guidance[0] > self.guidance[1]:
            raise ValueError("guidance: the least comes first")
        return self


class AppearanceConfig(Section):
    """Appearance distillation (PersonaLive): pictures painted in a few steps are held against the truth."""

    objective: Literal["appearance"]
    num_inference_steps: Steps = Field(
        4, description="of training and of the exported model; each clip is painted in as many or fewer"
    )
    latent_weight: float = Field(
        1.0, ge=0, le=limits.ERROR_WEIGHT, description="of the squared error of the latents"
    )
    pixel_weight: float = Field(
        1.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="of the squared error of pixels in [-1, 1], one frame of a clip",
    )
    gradient_weight: float = Field(
        1.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="of the error of how strong edges are, at three scales (Mathieu et al. 2016)",
    )
    perceptual_weight: float = Field(
        0.0, ge=0, le=limits.ERROR_WEIGHT, description="of LPIPS, with lpips_weights"
    )
    lpips_weights: Path | None = Field(
        None, description="AlexNet for LPIPS, as evaluate takes it: alexnet-owt-7be5be79.pth or .safetensors"
    )
    adversarial_weight: float = Field(
        0.05, ge=0, le=limits.ERROR_WEIGHT, description="of a discriminator that is trained beside; 0: none"
    )
    adversarial_start: float = Field(
        0.2, ge=0, le=1, description="share of the steps after which the discriminator is listened to"
    )
    discriminator_width: int = Field(64, ge=8, le=1024, multiple_of=8, description="of its first layer")
    gradient_penalty: float = Field(
        10.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="of the discriminator's slope at true pictures (R1)",
    )

    @model_validator(mode="after")
    def _check_perceptual(self) -> AppearanceConfig:
        if (self.lpips_weights is None) != (self.perceptual_weight == 0):
            raise ValueError("perceptual_weight and lpips_weights go together")
        return self


DistillationConfig = Annotated[ConsistencyConfig | AppearanceConfig, Field(discriminator="objective")]
