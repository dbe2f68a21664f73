"""One forward pass of whole clips, a row each, with the conditions that were composed for them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ...models.conditioned import ConditionedDenoiser
from ...models.conditions import Conditions
from ...models.denoiser import ONE_PICTURE, Regions
from ...models.networks import Networks
from ...sampling.clip_reader import ClipReader
from .correspondence import Correspondence

_ALL = slice(None)


def predict_clips(
    networks: Networks,
    conditions: Conditions,
    noisy: Tensor,
    timesteps: Tensor,
    *,
    reads: Tensor | None = None,
    joins: bool = True,
    motion: bool = True,
    regions: Regions = ONE_PICTURE,
    watch: Correspondence | None = None,
) -> Tensor:
    """Noise or velocity (R, C, F, h, w) of noisy latents.

    Args:
        networks: of the model.
        conditions: of R clips of F frames.
        noisy: (R, C, F, h, w).
        timesteps: (R,).
        reads: bool (R,), clips that read their reference; the others train the unguided prediction. None: all
            do.
        joins: where no clip reads, whether the reference network runs without an effect: weights that are
            spread over processes want all of them to call the same networks.
        motion: let the frames of a clip know of each other.
        regions: parts of the picture that are treated apart.
        watch: measures where attention looks in the reference.
    """
    denoiser, count = networks.denoiser, len(noisy)
    reading = count if reads is None else int(reads.sum())
    if reads is not None and not reads[count - reading :].all():
        # rows that read come last
        order = reads.to(noisy.device).argsort(stable=True)
        prediction = predict_clips(
            networks,
            conditions.of_rows(order),
            noisy[order],
            timesteps[order],
            reads=reads[order.to(reads.device)],
            joins=joins,
            motion=motion,
            watch=None if watch is None else watch.of_rows(order),
            regions=regions if regions is ONE_PICTURE else Regions(*(_of(part, order) for part in regions)),
        )
        return prediction[order.argsort()]
    reader = ClipReader(
        denoiser, networks.reference_network, conditions, networks.controls, max(reading, 1) if joins else 0
    )
    sample = torch.cat([noisy, conditions.static_channels(_ALL)], dim=1)
    if torch.is_grad_enabled():
        # Without this, the first trained GroupNorm of stage 2 gets an input that needs no gradient, and
        # the channels-last kernel of PyTorch 2.13 crashes on that (CPU).
        sample.requires_grad_()
    read = reader.reference(timesteps) if joins else None
    watching: AbstractContextManager[None] = nullcontext()
    if watch is not None and read is not None and reading:
        assert isinstance(denoiser, ConditionedDenoiser)
        watching = watch.watching(denoiser, read, reading)
    with watching:
        prediction = denoiser(
            sample,
            timesteps,
            reader.context,
            read if reading else None,
            rows=count,
            reference_rows=reading,
            control=reader.control(noisy.transpose(1, 2).flatten(0, 1), timesteps, _ALL),
            motion=motion,
            **({} if regions is ONE_PICTURE else {"regions": regions}),  # few denoisers part pictures
            **reader.sound(_ALL),
        )
    if read is not None and not reading:
        prediction = prediction + 0 * sum(pair.key.sum() + pair.value.sum() for pair in read.values())
    return prediction


def _of(region: Tensor | None, rows: Tensor) -> Tensor | None:
    """A region of some rows."""
    return None if region is None else region[rows]
