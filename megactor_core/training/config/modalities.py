"""Configuration of Modality Decoupling Control: what each clip shows, lets hear, and is not judged by."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ...section import Section
from .sound import SoundAugmentationConfig

Region = Literal["eyes", "mouth"]
Patches = Literal["tight", "union", "rectangle"]
Shares = Annotated[float, Field(ge=0, le=1)]


class ModalityDraw(Section):
    """One kind of clip, with the share of the clips that are of this kind."""

    share: Shares = Field(description="probability of this kind; all shares add up to 1")
    show: Literal["eyes_mouth", "eyes", "mouth", "none"] = Field(
        "eyes_mouth", description="patches of the driver on black; none: black frames"
    )
    sound: Literal["speech", "silence", "none"] = Field(
        "silence",
        description="speech: the clip's own sound; silence: a waveform of zero; none: features of zero, as "
        "in the unconditional row of guidance",
    )
    masked: tuple[Region, ...] = Field(
        (),
        description="parts of the face left out of the loss; with masked_attention unseen by the rest",
    )
    reference: bool = Field(True, description="whether the reference network is read")
    sound_weight: float = Field(
        1.0, ge=0, le=1, description="factor of the sound attention; 0 trains what amplitude 0 does"
    )
    still: bool = Field(
        False, description="the truth has its mouth at rest, exact silence of the lips; puppets only"
    )


class ModalitiesConfig(Section):
    """Modality Decoupling Control of MegActor-Sigma (arXiv 2408.14975): a table of draws, one per clip."""

    draws: tuple[ModalityDraw, ...] = Field(min_length=1, description="kinds of clips")
    patches: tuple[Patches, ...] = Field(
        ("tight", "union"),
        min_length=1,
        description="shapes of the patches, one drawn per clip: tight boxes of every frame; union, one box "
        "per part for the clip; rectangle, one box around all parts",
    )
    masked_attention: bool = Field(
        True, description="cells outside masked parts do not read those inside, in every self-attention"
    )
    local_sound: Shares = Field(
        0.0, description="share of clips whose sound reaches the lower face alone; 0: it reaches every cell"
    )
    augmentation: SoundAugmentationConfig | None = Field(
        None, description="changes of the speech that is heard, at random; null: none"
    )
    speech_weight: float = Field(
        1.0, ge=1, le=1e6, description="error weight of the lower face in clips that hear speech"
    )

    @field_validator("draws")
    @classmethod
    def _whole(cls, draws: tuple[ModalityDraw, ...]) -> tuple[ModalityDraw, ...]:
        total = math.fsum(draw.share for draw in draws)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares add up to {total:g}, not to 1")
        return draws

    @model_validator(mode="after")
    def _learns(self) -> ModalitiesConfig:
        for draw in self.draws:
            if draw.still and draw.sound == "speech" and draw.sound_weight:
                raise ValueError(
                    "still goes with silence, no sound, or sound_weight 0: else lips learn to ignore speech"
                )
        return self

    @property
    def speaks(self) -> bool:
        """Whether any clip is to be heard with its speech."""
        return any(draw.share and draw.sound == "speech" for draw in self.draws)

    @property
    def stills(self) -> bool:
        """Whether any clip has its mouth at rest."""
        return any(draw.share and draw.still for draw in self.draws)

    @property
    def masks(self) -> bool:
        """Whether positions of the face are needed in the targets."""
        return (
            self.speech_weight > 1 or bool(self.local_sound) or any(d.share and d.masked for d in self.draws)
        )
