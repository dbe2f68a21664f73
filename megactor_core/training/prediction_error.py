"""Terms of the loss: a clip's weighted prediction error, and how far two drivers disagree."""

from __future__ import annotations

from torch import Tensor

from .processes import Processes


def prediction_error(
    difference: Tensor, weights: Tensor, change_weight: float, processes: Processes | None = None
) -> Tensor:
    """Mean squared error, and that of the changes from frame to frame.

    An error that stays is hardly seen; one that changes flickers.

    Args:
        difference: prediction minus target, (clips, channels, frames, h, w).
        weights: (clips, frames, h, w); their size does not matter.
        change_weight: weight of the changes; 0 leaves them out.
        processes: that share the clips; the mean of their results is the whole batch's.

    Returns:
        a scalar.
    """
    mean = (processes or Processes()).mean
    weights = weights[:, None]
    error = (difference.square() * weights).mean() / mean(weights.mean())
    if not change_weight:
        return error
    later = weights[:, :, 1:]
    return error + change_weight * (difference.diff(dim=2).square() * later).mean() / mean(later.mean())


def relative_difference(first: Tensor, second: Tensor) -> Tensor:
    """How much two drivers of the same motion disagree, beside how much drivers vary at all.

    The scale of both does not matter, so that they gain nothing by growing small.

    Args:
        first, second: (clips, channels, frames, h, w).

    Returns:
        a scalar: 0 where they agree, about 1 where they have nothing in common.
    """
    first, second = first.float(), second.float()
    over = (0, 2)  # clips and frames: what stands still at a place is no motion
    variance = (first.var(dim=over) + second.var(dim=over)).mean()
    return (first - second).square().mean() / variance
