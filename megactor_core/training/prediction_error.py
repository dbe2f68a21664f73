"""The weighted error of a clip's prediction."""

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
