"""Protocols of the configurations of denoisers, reference networks and ControlNets.

They hold what animation, sampling, training and the nodes ask before any network is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # Python 3.10 has none
    from typing_extensions import Self


FEED_FORWARD_TOKENS = 8192
"""Tokens that pass a feed-forward layer together: its hidden layer is up to eight times as wide."""


class ReferenceConfig(Protocol):
    """Facts of a reference network that do not depend on its weights.

    Attributes:
        kind: key of ``kinds.DENOISERS``; the denoiser that reads its tokens is of the same.
        in_channels: channels of the input: the noisy latent, then the static conditions; of a reference
            network and a ControlNet the latent alone.
        cross_attention_dim: width of the context tokens.
    """

    @property
    def kind(self) -> str: ...

    @property
    def in_channels(self) -> int: ...

    @property
    def cross_attention_dim(self) -> int: ...

    def tiny(self, cross_attention_dim: int, audio_dim: int) -> Self:
        """Configuration with few and narrow layers, for context and audio tokens of these widths."""


class DenoiserConfig(ReferenceConfig, Protocol):
    """Facts of a denoiser that do not depend on its weights.

    Attributes:
        patch_size: latent cells along a side of its finest token.
        motion_max_positions: frames of the longest window.
        audio_dim: width of the audio tokens; 0 where it hears nothing.
    """

    @property
    def patch_size(self) -> int: ...

    @property
    def motion_max_positions(self) -> int: ...

    @property
    def audio_dim(self) -> int: ...

    def activation_values(self, cells: int) -> int:
        """Numbers that a forward pass holds at most beside the weights, for the latent cells of all rows."""

    def audio_values(self, tokens: int) -> int:
        """Numbers in the keys and values of so many audio tokens, over all blocks."""


class ControlConfig(ReferenceConfig, Protocol):
    """Facts of a ControlNet that do not depend on its weights."""

    def hint_feature_values(self, cells: int) -> int:
        """Numbers in the hint features of so many latent cells."""

    def hint_activation_values(self, pixels: int) -> int:
        """Numbers held at most while hints of so many pixels are encoded."""
