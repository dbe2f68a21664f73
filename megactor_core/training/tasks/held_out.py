"""Loss of held-out clips at fixed timesteps, which shows learning without the noise of training's losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ... import seeds
from ..config.controls import ControlsConfig
from ..config.modalities import ModalityDraw
from ..config.tasks import DenoiserTaskConfig
from ..data.loader import Batch
from ..distributed import ProcessGroup
from .base import StepContext

Loss = Callable[[Batch, StepContext], tuple[Tensor, Mapping[str, Tensor]]]
Encode = Callable[[Batch, StepContext], Batch]


def measured_config(config: DenoiserTaskConfig) -> DenoiserTaskConfig:
    """The task without what training drops, mixes in or weighs by chance or by timestep."""
    plain: dict[str, Any] = {
        "start_share": 0.0,
        "own_start": False,
        "sample_latents": False,
        "min_snr_gamma": None,
        "reference_dropout": 0.0,
        "background_dropout": 0.0,
        "driving_dropout": 0.0,
        "controls": ControlsConfig(),
        "auxiliary_weight": 0.0,
    }
    if config.modalities is not None:
        everything = ModalityDraw(share=1.0, sound="speech" if config.modalities.speaks else "silence")
        plain["modalities"] = config.modalities.model_copy(
            update={"draws": (everything,), "local_sound": 0.0, "augmentation": None}
        )
    return config.model_copy(update=plain)


@torch.no_grad()
def held_out_loss(
    loss: Loss,
    encode: Encode,
    clips: Iterable[Batch],
    *,
    timesteps: Sequence[int],
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """Mean squared errors by timestep, ``loss_t0500`` and so on, and their mean, ``loss``.

    Args:
        loss: of a task with ``measured_config``; its ``mse`` is taken.
        encode: adds latents and features of the sound to a batch, as ``loss`` takes them.
        clips: batches of a single clip each.
        timesteps: in [0, 1000).
        seed: of the noise, which also depends on the number of the clip and the timestep, on nothing else.
        device: of the networks.
    """
    alone = ProcessGroup(str(device))
    errors: dict[int, list[float]] = {timestep: [] for timestep in timesteps}
    for index, clip in enumerate(clips):
        batch: Batch = {n: v.to(device) if isinstance(v, Tensor) else v for n, v in clip.items()}
        for timestep, found in errors.items():
            generator = seeds.torch_generator(seed, seeds.VALIDATION_NOISE, index, timestep)
            context = StepContext(0, 1, generator, alone, timestep)
            batch = batch if "latents" in batch else encode(batch, context)
            found.append(float(loss(batch, context)[1]["mse"]))
    means = {timestep: sum(found) / len(found) for timestep, found in errors.items()}
    by_timestep = {f"loss_t{timestep:04d}": mean for timestep, mean in means.items()}
    return {"loss": sum(means.values()) / len(means), **by_timestep}
