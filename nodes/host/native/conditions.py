"""Content of the host's CONDITIONING, and its way to the native model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....megactor_core.errors import InputError
from ....megactor_core.models.conditions import Conditions

KEY = "megactor"
"""Key of a ``Row`` in the dictionary of a CONDITIONING entry."""


@dataclass(frozen=True, eq=False)
class Row:
    """One entry of CONDITIONING. Opaque to the host, which would slice and copy bare tensors.

    Attributes:
        conditions: everything the denoiser is told about the clip.
        reads_reference: False for the negative entry: guidance pulls away from the prediction without it.
    """

    conditions: Conditions
    reads_reference: bool

    @property
    def sees_driver(self) -> bool:
        """Whether its frames show the driver; MegActor-Sigma's negative entry is shown black ones."""
        return self.reads_reference or self.conditions.driving.unconditional is None

    def frame_channels(self) -> Tensor:
        """Channels that follow the noisy latent, ``(frames, channels, h, w)``."""
        frames = list(range(self.conditions.num_frames))
        return self.conditions.static_channels(frames, guided=not self.sees_driver)[0].transpose(0, 1)

    def is_changed(self, tokens: Tensor | None) -> bool:
        """Whether these are no longer the tokens of ``conditioning``, where the model does not read them."""
        own = self.conditions.background.tokens
        return tokens is not None and (tokens.shape != own.shape or not torch.equal(tokens.to(own), own))

    def check(self, noise: Tensor) -> None:
        """Refuse a latent that does not fit.

        Args:
            noise: start noise of the host, ``(frames, channels, h, w)``.

        Raises:
            InputError: the latent is of another length or size than the conditions.
        """
        frames = self.conditions.driving.num_frames
        height, width = self.conditions.driving.features.shape[-2:]
        if noise.shape[0] != frames:
            raise InputError(
                f"latent of {noise.shape[0]} frames",
                f"the driving clip has {frames} frames",
                "Use the latent of Apply MegActor, or an empty latent with one frame per driving frame",
            )
        if tuple(noise.shape[-2:]) != (height, width):
            raise InputError(
                f"latent of {noise.shape[-1]}x{noise.shape[-2]} cells",
                f"reference and driving were encoded at {width}x{height}",
                "Use the latent of Apply MegActor, or encode both at the size of the latent",
            )


def conditioning(conditions: Conditions, reads_reference: bool) -> list[list[Any]]:
    """A CONDITIONING of one entry; its tokens, which other nodes may touch, are the background's."""
    return [[conditions.background.tokens, {KEY: Row(conditions, reads_reference)}]]


class CONDRows(comfy.conds.CONDRegular):
    """The rows of a batch, however many frames they have; never repeated, never sliced.

    ``cond`` is a tuple of ``Row``, all of one clip: others run in a batch of their own.
    """

    def process_cond(self, batch_size: int, **kwargs: Any) -> CONDRows:
        return self

    def can_concat(self, other: CONDRows) -> bool:
        return other.cond[0].conditions is self.cond[0].conditions

    def concat(self, others: Iterable[CONDRows]) -> tuple[Row, ...]:
        return sum((other.cond for other in others), self.cond)

    def size(self) -> list[int]:
        return [len(self.cond)]
