"""Configuration of training clips of puppets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ...section import Section


class PuppetClipsConfig(Section):
    """Clips of puppets: a target identity, and a driver of another identity with the same motion."""

    name: Literal["puppets"] = "puppets"
    size: int = Field(512, ge=32, le=8192, multiple_of=8, description="side of the pictures in pixels")
    references: int = Field(
        1,
        ge=1,
        le=100_000,
        description="identities per batch, shared by all processes; each has one reference picture",
    )
    frames: int = Field(
        12, ge=1, le=10_000, description="target frames per identity: one window of the denoiser"
    )
    frame_rate: float = Field(
        25.0, gt=0, le=1000, description="frames per second; less makes the frames differ more"
    )
    whole_frame_rate: float = Field(
        0.0, ge=0, le=1, description="share of clips driven by the whole grey frame, not by the face on black"
    )
    small_motion_share: float = Field(
        0.0, ge=0, le=1, description="share of clips that move away from their reference by a part, 0 to 1"
    )
    speech: Path | None = Field(
        None, description="file of dataset speech: puppets say it; null: their mouths hum as they are open"
    )
    speech_share: float = Field(
        1.0, ge=0, le=1, description="share of clips that speak; the others move their mouths in silence"
    )
    mouth_coupling: float = Field(
        0.0,
        ge=0,
        le=1,
        description="correlation of brows and mouth of puppets that speak",
    )

    @model_validator(mode="after")
    def _check_speech(self) -> PuppetClipsConfig:
        if self.speech is None and (self.speech_share < 1 or self.mouth_coupling):
            raise ValueError("speech_share and mouth_coupling need speech")
        return self
