"""Protocols of denoiser, reference network and ControlNet, and the values they exchange.

Sampling, guidance, context windows, the host's native model, the memory estimate and training know these
protocols and no class behind them: another architecture is another implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .denoiser_config import DenoiserConfig
from .driving_encoder import DrivingEncoder


class KeyValues(NamedTuple):
    """Projected keys and values, each ``(rows, heads, tokens, head_width)``; one row serves all rows."""

    key: Tensor
    value: Tensor


class Control(NamedTuple):
    """Residuals of ControlNets, summed; each tensor ``(1 or conditional rows * frames, channels, h, w)``.

    ``skips`` follow the order in which the down levels make the skip tensors, the input convolution first.
    """

    skips: tuple[Tensor, ...]
    middle: Tensor


class Regions(NamedTuple):
    """Parts of the picture that training treats apart (MegActor-Sigma, masked spatial attention).

    Attributes:
        hidden: bool ``(rows, height, width)``: cells that those outside do not read in self-attention, while
            they read everything; the reference's tokens are read by all. None hides nothing.
        sounding: ``(rows, frames, height, width)``: factor of the sound attention in every cell; None is 1.
    """

    hidden: Tensor | None = None
    sounding: Tensor | None = None


ONE_PICTURE = Regions()
"""Nothing is treated apart."""


class ReadsContext(Protocol):
    """A network whose blocks attend to context tokens."""

    def context_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        """Keys and values of context tokens ``(rows, tokens, width)`` by block; once per clip."""

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory while training."""


class ReferenceWriter(ReadsContext, Protocol):
    """A reference network: tokens of the portrait that the denoiser reads.

    It has no property ``device``: ComfyUI sets an attribute of that name on what it holds.
    """

    def __call__(
        self, latents: Tensor, timestep: Tensor, context: Mapping[str, KeyValues]
    ) -> dict[str, Tensor]:
        """Tokens ``{block: (rows, tokens, width)}`` of reference latents ``(rows, channels, h, w)``.

        ``timestep`` is ``(1,)`` or ``(rows,)``; asked for once per step.
        """


class HintReader(ReadsContext, Protocol):
    """A ControlNet: residuals for the denoiser from a hint picture per frame."""

    def hint_features(self, hints: Tensor) -> Tensor:
        """Features ``(frames, width, h, w)`` of hints ``(frames, 3, H, W)``; once per clip."""

    def __call__(
        self, sample: Tensor, timestep: Tensor, context: Mapping[str, KeyValues], hint_features: Tensor
    ) -> Control:
        """Residuals for noisy latents ``(frames, channels, h, w)`` at a timestep ``(1,)``."""


class Denoiser(ReadsContext, Protocol):
    """Predicts the noise, or the velocity, of a window of frames."""

    @property
    def config(self) -> DenoiserConfig: ...

    @property
    def driving_encoder(self) -> DrivingEncoder | None:
        """Encoder of the driving frames, called once per clip; None where the driver enters otherwise."""

    @property
    def compute_dtype(self) -> torch.dtype:
        """Floating-point type of the activations."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""

    def reference_keys_values(self, bank: Mapping[str, Tensor]) -> dict[str, KeyValues]:
        """Keys and values of the reference's tokens by block; once per step."""

    def audio_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        """Keys and values of audio tokens ``(rows, tokens, audio_dim)`` by block; once per clip."""

    def denoise(
        self,
        sample: Tensor,
        timestep: Tensor,
        context: Mapping[str, KeyValues],
        reference: Mapping[str, KeyValues] | None = None,
        *,
        rows: int | None = None,
        conditional_rows: int | None = None,
        reference_rows: int | None = None,
        audio: Mapping[str, KeyValues] | None = None,
        audio_weight: float | Tensor = 1.0,
        control: Control | None = None,
        motion: bool = True,
        reference_weight: float = 1.0,
        regions: Regions = ONE_PICTURE,
    ) -> Tensor:
        """Prediction ``(rows, out_channels, frames, height, width)`` for a window of frames.

        Args:
            sample: ``(clips, in_channels, frames, height, width)``: noisy latent, then the static conditions.
                One clip serves several rows as long as these differ in nothing but what they read.
            timestep: one for all ``(1,)``, one per row ``(rows,)``, or one per frame ``(1 or rows, frames)``.
            context: from ``context_keys_values``.
            reference: from ``reference_keys_values``.
            rows: rows of the prediction; ``clips`` if not given.
            conditional_rows: how many of the last rows read the reference, hear the sound and obey the
                controls; all if not given.
            reference_rows: how many of the last of these read the reference; all of them if not given.
            audio: from ``audio_keys_values``, of these frames; none is heard as tokens of zero.
            audio_weight: factor of the audio attention, one number or one per frame ``(frames,)``.
            control: what ControlNets add.
            motion: let the frames know of each other.
            reference_weight: factor of the attention weights of the reference's tokens, 0 or more.
            regions: parts of the picture that training treats apart; ``sample`` then has all rows.

        Raises:
            ValueError: more frames than temporal positions.
        """

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        """``denoise`` with the hooks of PyTorch's modules, which distributed training needs."""


def gather_rows(projected: KeyValues, rows: Tensor) -> KeyValues:
    """Keys and values of frames that share rows of tokens.

    Args:
        projected: of every row, ``(rows, heads, tokens, head_width)``.
        rows: of every frame, int64 ``(frames, n)``.

    Returns:
        ``(frames, heads, n * tokens, head_width)``, the tokens of the first row first.
    """
    return KeyValues(*(part[rows].transpose(1, 2).flatten(2, 3) for part in projected))


def add_up(controls: Sequence[tuple[Control, float | Tensor]]) -> Control:
    """Sum of what several ControlNets say, at least one, each with its strength or those of its rows."""
    parts = [(*control.skips, control.middle) for control, _ in controls]
    strengths = [strength for _, strength in controls]
    sums = [
        sum(part * strength for part, strength in zip(same, strengths, strict=True))
        for same in zip(*parts, strict=True)
    ]
    return Control(tuple(sums[:-1]), sums[-1])
