"""Configuration of training clips from shards; the defaults are MegActor's stage 1."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ...section import Section


class ShardClipsConfig(Section):
    """Clips in WebDataset shards, as the ``dataset`` commands write them."""

    name: Literal["shards"] = "shards"
    shards: tuple[Path, ...] = Field(
        min_length=1, description="folders of shards, or single .tar files; one path may stand alone"
    )
    size: int = Field(512, ge=32, le=8192, multiple_of=8, description="side of the pictures in pixels")
    references: int = Field(
        1, ge=1, le=100_000, description="clips per batch; each has one reference picture"
    )
    frames: int = Field(12, ge=1, le=10_000, description="target frames per clip: one window of the denoiser")
    stride: int = Field(
        2, ge=1, le=10_000, description="frames of the clip from one target frame to the next"
    )
    swap_rate: float = Field(
        0.1, ge=0, le=1, description="share of clips whose driver has another face or style; stage 2: 0.5"
    )
    styled_share: float = Field(
        0.5, ge=0, le=1, description="share of stylised drivers among them, where a clip has both versions"
    )
    warp_rate: float = Field(
        0.0, ge=0, le=1, description="share of clips whose driver is stretched and scaled; stage 2: 0.25"
    )
    warp_range: float = Field(
        0.2, ge=0, lt=1, description="aspect and scale are drawn from 1 minus to 1 plus this"
    )
    minimum_face_ratio: float = Field(
        0.2, ge=0, le=1, description="windows whose smallest face covers less of the square are left out"
    )
    minimum_luma: float = Field(5.0, ge=0, le=255, description="darker frames are left out")
    held_out: float = Field(
        0.05, ge=0, lt=1, description="share of the identities that are kept for validation, at least one"
    )

    @field_validator("shards", mode="before")
    @classmethod
    def _one_path(cls, value: object) -> object:
        return (value,) if isinstance(value, (str, Path)) else value
