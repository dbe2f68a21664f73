"""Configurations of the encoders of driver and sound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..validation import ByKind
from .fields import STRICT, Count, Depth, Size, check_heads


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


ROWS_BEFORE, ROWS_AFTER = 4, 5
"""Rows of features that a frame hears before and after that of its own moment; a row is 20 ms."""

WINDOW_ROWS = ROWS_BEFORE + 1 + ROWS_AFTER

_SHARED_ROWS = 5
"""Rows of features for every frame of a clip where frames share them: 50 a second, at ten frames a second."""


@dataclass(frozen=True)
class HearingConfig(ABC):
    """Options of the features of any audio encoder; both are off in published models.

    Attributes:
        standardised: features have their mean taken off and are divided by their deviation, per state and
            channel; both come with the weights. Whisper's raw states have outlier channels.
        window_positions: a learnt vector is added for the place of a token among the ten rows that a frame
            hears. Attention cannot tell "now" from "100 ms ago" otherwise.
    """

    standardised: bool = False
    window_positions: bool = False

    @property
    @abstractmethod
    def states(self) -> int:
        """Hidden states that are read of every row: tokens of a moment."""

    @property
    def tokens_per_frame(self) -> int:
        """Tokens that a clip has for every frame, at ten frames a second or more."""
        return self.states * (WINDOW_ROWS if self.window_positions else _SHARED_ROWS)

    @abstractmethod
    def tiny(self, width: int) -> HearingConfig:
        """Configuration of the same kind with few and narrow layers, for tokens of this width."""


@dataclass(frozen=True)
class AudioEncoderConfig(HearingConfig):
    """Whisper's audio encoder; the defaults are those of its smallest model ("tiny").

    Attributes:
        bands: of the log-mel spectrogram.
        width: of its tokens.
        heads: of its attention.
        layers: transformer blocks.
        positions: tokens of one segment of sound, one for two columns of the spectrogram.
        padding: what fills up the last segment: zeros, which are no silence (MegActor-Sigma), or silence.
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str] = "whisper"  # no field: the configurations of published models do not say it

    bands: Size = 80
    width: Size = 384
    heads: Size = 6
    layers: Depth = 4
    positions: Size = 1500
    padding: Literal["zeros", "silence"] = "zeros"

    def __post_init__(self) -> None:
        check_heads(self.heads, (self.width,))

    @property
    def states(self) -> int:
        """After the positions, and after every block."""
        return self.layers + 1

    def tiny(self, width: int) -> AudioEncoderConfig:
        """See ``HearingConfig``."""
        return replace(self, width=width, heads=2)


@dataclass(frozen=True)
class ConvAudioEncoderConfig(HearingConfig):
    """Small convolutional encoder of the log-mel spectrogram, of which the last state is read.

    Attributes:
        bands: of the log-mel spectrogram.
        width: of its tokens.
        blocks: residual blocks, each of which sees a row more to both sides; six see 150 ms.
    """

    __pydantic_config__ = STRICT
    kind: Literal["conv"] = "conv"

    bands: Size = 80
    width: Size = 96
    blocks: Depth = 6

    @property
    def states(self) -> int:
        """The last alone."""
        return 1

    def tiny(self, width: int) -> ConvAudioEncoderConfig:
        """See ``HearingConfig``."""
        return replace(self, width=width, blocks=1)


AUDIO_ENCODER_KIND = ByKind(
    lambda: {config.kind: config for config in (AudioEncoderConfig, ConvAudioEncoderConfig)}
)
"""Marks a configuration that may be of any kind of audio encoder; Whisper's where it does not say."""
