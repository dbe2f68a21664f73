"""Configuration of ControlNets in training: which clips are left without them."""

from __future__ import annotations

from pydantic import Field

from ...section import Section


class ControlsConfig(Section):
    """ControlNets of the driver's face, and of its eyes and mouth (X-Portrait)."""

    face_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips whose whole face is not shown; eyes and mouth may be"
    )
    patch_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips whose eyes and mouth are not shown; the face may be"
    )
