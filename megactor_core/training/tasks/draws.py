"""Random draws for the clips of a batch: timesteps, noise, and which conditions are dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...conditioning.compose import Kept
from ...sampling.schedule import LAST_TIMESTEP
from ...vision.modes.hints import FACE, PATCHES
from ..config.tasks import DenoiserTaskConfig
from ..distributed import ProcessGroup
from .losses import draw_noise, draw_timesteps, start_some


@dataclass(frozen=True)
class ClipDraws:
    """Draws for the clips of one process (R clips), on the CPU.

    Attributes:
        timesteps: (R,), int64.
        noise: like the latents, (R, C, F, h, w).
        kept: the conditions that these clips keep.
        joins_reading: whether this process reads references at all: with its own clips, or only because
            others do and weights are spread over the processes, which must then all call the same networks.
        joins_start: likewise whether it makes the first step of sampling.
        from_reference: bool (R,), clips on the way from their reference, where sampling starts from there;
            the others are noised as usual.
    """

    timesteps: Tensor
    noise: Tensor
    kept: Kept
    joins_reading: bool
    joins_start: bool
    from_reference: Tensor


def draw_clips(
    config: DenoiserTaskConfig,
    own_shape: torch.Size,
    processes: ProcessGroup,
    generator: torch.Generator,
    given: Kept | None = None,
    controls: Iterable[str] = (),
) -> ClipDraws:
    """Draw for the whole batch and keep what belongs to the clips of this process.

    Args:
        config: how.
        own_shape: of this process's latents, (R, C, F, h, w).
        processes: that share the batch.
        generator: on the CPU, the same on every process.
        given: conditions that this process's clips keep, where their modalities have decided it.
        controls: names of the model's ControlNets.
    """
    whole = own_shape[0] * processes.count
    part = processes.part(whole)
    timesteps = draw_timesteps(whole, config.timestep_power, generator)
    noise = draw_noise((whole, *own_shape[1:]), config.shared_noise, config.offset_noise, generator)
    if config.start_share:
        timesteps, noise = start_some(
            timesteps, noise, config.start_share, config.start_noise_scale, generator
        )
    from_reference = _kept(whole, 1 - config.reference_start_share, generator)[part]
    seen = timesteps if processes.sharded else timesteps[part]
    joins_start = config.own_start and bool((seen < LAST_TIMESTEP).any())
    if given is not None:
        assert given.reference is not None
        # What clips of other processes keep is not known here; joining without an effect is.
        joins_reading = processes.sharded or bool(given.reference.any())
        return ClipDraws(timesteps[part], noise[part], given, joins_reading, joins_start, from_reference)
    reading = int((torch.rand(whole, generator=generator) >= config.reference_dropout).sum())
    reads = torch.arange(whole) >= whole - reading
    background = _kept(whole, config.background_dropout, generator)
    driver = _kept(whole, config.driving_dropout, generator)
    # Guidance predicts without reference what it predicts without ControlNets.
    obeys = reads & driver
    dropouts = {FACE: config.controls.face_dropout, PATCHES: config.controls.patch_dropout}
    shown = {name: obeys & _kept(whole, dropouts[name], generator) for name in controls}
    # A process none of whose trained networks is called would not take part in sharing the gradients.
    all_join = bool(shown) and processes.count > 1 and config.reference_dropout < 1
    joins_reading = bool(reading if processes.sharded else reads[part].any()) or all_join
    seen_by = {name: rows if processes.sharded else rows[part] for name, rows in shown.items()}
    called = {n for n, rows in seen_by.items() if rows.any() or (all_join and dropouts[n] < 1)}
    kept = Kept(
        reference=reads[part],
        background=background[part],
        driver=driver[part],
        controls={name: rows[part] for name, rows in shown.items() if name in called},
    )
    return ClipDraws(
        timesteps=timesteps[part],
        noise=noise[part],
        kept=kept,
        joins_reading=joins_reading,
        joins_start=joins_start,
        from_reference=from_reference,
    )


def _kept(count: int, dropout: float, generator: torch.Generator) -> Tensor:
    """Mask of the clips that keep a condition; nothing is drawn where all do."""
    if not dropout:
        return torch.ones(count, dtype=torch.bool)
    return torch.rand(count, generator=generator) >= dropout


def posterior_noise(
    shape: torch.Size, frames: int, processes: ProcessGroup, generator: torch.Generator
) -> Tensor:
    """Noise for sampled latents of this process's pictures: its references, then its targets.

    Args:
        shape: of these latents, (R + R * frames, C, h, w).
        frames: targets of each reference.
        processes: that share the batch.
        generator: on the CPU, the same on every process.
    """
    whole = shape[0] // (1 + frames) * processes.count
    noise = torch.randn(whole * (1 + frames), *shape[1:], generator=generator)
    part = processes.part(whole)
    targets = noise[whole:].unflatten(0, (whole, frames))[part].flatten(0, 1)
    return torch.cat([noise[:whole][part], targets])
