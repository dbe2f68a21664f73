"""Configuration of what ControlNets are shown in training, and of the clips that are left without them."""

from __future__ import annotations

from pydantic import Field

from ...section import Section


class HintAugmentationConfig(Section):
    """Changes of a clip's hints against leakage of shape and colour, the same for all its frames."""

    probability: float = Field(0.9, ge=0, le=1, description="share of clips that are scaled and shifted")
    range: float = Field(
        1.25,
        ge=1,
        le=4,
        description="width and height of the face are scaled, each for itself, by 1 / range to range",
    )
    shift: float = Field(0.03, ge=0, le=1, description="shift of the face, in sides of the picture")
    local: float = Field(
        1.1,
        ge=1,
        le=4,
        description="eyes and mouth are scaled once more in their patches, by 1 / local to local",
    )
    colour: float = Field(
        0.15, ge=0, lt=1, description="brightness, contrast and saturation change by so much at most"
    )
    grey: float = Field(0.1, ge=0, le=1, description="share of clips without colours")


class DisguiseConfig(Section):
    """What hides the identity of a driver that is the target itself, where hints are changed at all."""

    warp: float = Field(
        0.04,
        ge=0,
        le=1,
        description="deviation of eight points of a thin-plate warp, in sides of the face; 0: no warp",
    )
    blur: float = Field(0.01, ge=0, le=1, description="deviation of a blur at most, in sides of the picture")


class ControlsConfig(Section):
    """ControlNets of the driver's face, and of its eyes and mouth (X-Portrait)."""

    self_rate: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of puppets driven by themselves, not by another identity with the same motion; of "
        "shards 1 - swap_rate is",
    )
    face_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips whose whole face is not shown; eyes and mouth may be"
    )
    patch_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips whose eyes and mouth are not shown; the face may be"
    )
    augmentation: HintAugmentationConfig | None = Field(
        None, description="changes of the hints; null: they are shown as they are"
    )
    disguise: DisguiseConfig = Field(
        DisguiseConfig(), description="more changes of the hints where a clip drives itself"
    )
