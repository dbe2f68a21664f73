"""Configurations of the encoders of driver and sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from .fields import Count, Depth, Size, check_heads


@dataclass(frozen=True)
class DrivingEncoderConfig:
    """Convolutional encoder of the raw driving frames, on request modulated by the reference picture.

    Attributes:
        channels: widths of the four stages; the first three halve the resolution.
        out_channels: channels that join the noisy latent.
        reference_channels: widths after the two convolutions of each halving stage of the reference branch.
            The branch sees a square picture of ``reference_size`` pixels, a power of two times four.
            Without widths there is no branch and no modulation (MegActor-Sigma).
        modulation_dim: hidden width of the scale-and-shift head.
        black_unconditional: whether the unconditional row of guidance sees black frames (MegActor-Sigma);
            otherwise it sees the same as the other.
    """

    channels: tuple[Size, Size, Size, Size] = (16, 32, 64, 128)
    out_channels: Count = 4
    reference_channels: Annotated[tuple[tuple[Size, Size], ...], Field(max_length=12)] = (
        (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512),
    )  # fmt: skip
    modulation_dim: Size = 256
    black_unconditional: bool = False

    @property
    def reference_size(self) -> int:
        """Side of the reference picture in pixels: the branch ends in a 4x4 convolution."""
        return 4 * 2 ** len(self.reference_channels)


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Whisper's audio encoder; the defaults are those of its smallest model ("tiny").

    Attributes:
        bands: of the log-mel spectrogram.
        width: of its tokens.
        heads: of its attention.
        layers: transformer blocks.
        positions: tokens of one segment of sound, one for two columns of the spectrogram.
    """

    bands: Size = 80
    width: Size = 384
    heads: Size = 6
    layers: Depth = 4
    positions: Size = 1500

    def __post_init__(self) -> None:
        check_heads(self.heads, (self.width,))
