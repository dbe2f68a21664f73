"""Configuration of training an audio encoder to read mouths."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ...models.encoder_config import ConvAudioEncoderConfig
from ...section import Section
from .sound import SoundAugmentationConfig


class MouthReaderTaskConfig(Section):
    """Audio encoder of convolutions and a linear head that reads the mouth, on synthetic speech."""

    name: Literal["mouth_reader"] = "mouth_reader"
    speech: Path = Field(description="corpus that dataset speech has made")
    audio_encoder: ConvAudioEncoderConfig = Field(
        ConvAudioEncoderConfig(), description="widths and depth of the encoder"
    )
    batch_size: int = Field(16, ge=1, le=100_000, description="stretches of speech per batch")
    seconds: float = Field(2.0, ge=0.1, le=30, description="length of each")
    augmentation: SoundAugmentationConfig = Field(
        SoundAugmentationConfig(), description="changes of the sound"
    )
    formant_warp: float = Field(
        0.12, ge=0, lt=1, description="the spectrogram's frequencies are up to this share higher or lower"
    )
    masked_bands: int = Field(
        16, ge=0, le=128, description="most bands of the spectrogram that are taken away, in two groups"
    )
    validation_utterances: int = Field(
        64, ge=1, le=100_000, description="held-out utterances whose mouths are read"
    )
