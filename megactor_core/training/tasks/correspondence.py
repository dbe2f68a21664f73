"""Where attention looks in the reference: the place of what it paints, which a rendered puppet knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.attention import split_heads
from ...models.conditioned import ConditionedDenoiser
from ...models.denoiser import KeyValues


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Points of the face in reference and targets, and the errors of the attention between them.

    Attributes:
        reference: (R, P, 2), x and y in sides of the picture.
        targets: (R, F, P, 2), the same points in every frame.
        errors: of the passes that were watched, scalars.
    """

    reference: Tensor
    targets: Tensor
    errors: list[Tensor] = field(default_factory=list)

    def of_rows(self, rows: Tensor) -> Correspondence:
        """The same of some clips; errors come together."""
        return replace(self, reference=self.reference[rows], targets=self.targets[rows])

    @contextmanager
    def watching(
        self, denoiser: ConditionedDenoiser, read: Mapping[str, KeyValues], reading: int
    ) -> Iterator[None]:
        """Measure a pass of the denoiser, in which the last ``reading`` clips read ``read``."""
        finest, attending = max(pair.key.shape[2] for pair in read.values()), denoiser.attending_blocks()
        blocks = [name for name, pair in read.items() if pair.key.shape[2] == finest]
        queries: dict[str, Tensor] = {}
        hooks = [
            attending[name].attn1.to_q.register_forward_hook(
                lambda layer, inputs, output, name=name: queries.update({name: output})
            )
            for name in blocks
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        rows = slice(len(self.reference) - reading, None)
        for name in blocks:
            query = queries[name].unflatten(0, (len(self.reference), -1))[rows]
            key = read[name].key
            self.errors.append(
                correspondence_error(query, key, reference=self.reference[rows], targets=self.targets[rows])
            )

    @property
    def error(self) -> Tensor:
        """Mean of the errors, in nats; 0 where nothing was read."""
        return torch.stack(self.errors).mean() if self.errors else self.targets.new_zeros(())


def correspondence_error(query: Tensor, key: Tensor, *, reference: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the attention's first half of heads from every target point to its reference point.

    The other heads look where they like: they read colour and shape around a place, not the place alone.

    Args:
        query: of the targets' tokens, (R, F, tokens, width), row by row of a square picture.
        key: of the reference's tokens, (R, heads, tokens, head_width).
        reference: points in the reference, (R, P, 2).
        targets: the same in the targets, (R, F, P, 2).

    Returns:
        A scalar in nats, log(tokens) for attention that looks everywhere. Points outside a picture count not.
    """
    heads, tokens, head_width = key.shape[1:]
    half = max(1, heads // 2)
    wanted, inside = _cells(reference, tokens)
    own, seen = _cells(targets, tokens)
    picked = query.float().gather(2, own[..., None].expand(-1, -1, -1, query.shape[-1]))
    asking = split_heads(picked.flatten(0, 1), heads)[:, :half].unflatten(0, query.shape[:2])
    scores = torch.einsum("rfhpc,rhtc->rfpht", asking, key[:, :half].float()) * head_width**-0.5
    counts = (seen & inside[:, None])[..., None].expand(*scores.shape[:-1])
    truth = wanted[:, None, :, None].expand(*scores.shape[:-1])
    errors = F.cross_entropy(scores.flatten(0, -2), truth.flatten(), reduction="none")
    return (errors * counts.flatten()).sum() / counts.sum().clamp(min=1)


def _cells(points: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Numbers of the tokens in which points (..., 2) lie, int64 (...), and whether a token is there."""
    side = round(tokens**0.5)
    places = (points * side).floor().long()
    inside = ((places >= 0) & (places < side)).all(-1)
    places = places.clamp(0, side - 1)
    return places[..., 1] * side + places[..., 0], inside
