"""Configuration of the changes that sound is heard with in training."""

from __future__ import annotations

from pydantic import Field

from ...section import Section


class SoundAugmentationConfig(Section):
    """Shares of clips whose sound is changed; the defaults are those of MegActor-Sigma's public training."""

    polarity: float = Field(0.2, ge=0, le=1, description="share of clips whose sound is turned over")
    noise: float = Field(0.3, ge=0, le=1, description="share with white noise, 10 to 40 dB below the sound")
    gain: float = Field(0.2, ge=0, le=1, description="share that is up to 20 dB softer")
    band: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share that loses what is above 2.2 to 4 kHz, or what is below 200 to 1200 Hz",
    )
    pitch: float = Field(0.75, ge=0, le=1, description="share in another pitch, formants included")
    pitch_cents: float = Field(
        500.0,
        ge=0,
        le=1200,
        description="that pitch is so much higher or lower at most; 100 are a semitone",
    )
    reverb: float = Field(0.2, ge=0, le=1, description="share in a room that rings for .1 to .6 seconds")
