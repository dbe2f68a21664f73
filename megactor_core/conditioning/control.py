"""Driving frames as hints of ControlNets, encoded in chunks so that few of their pixels are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..models.conditions import ControlCondition, ControlStrength
from ..models.denoiser import HintReader

CHUNK_LENGTH = 4
"""Frames encoded together: the first layers of a hint work at the full resolution."""

_CPU = torch.device("cpu")


@torch.inference_mode()
def encode_hints(
    networks: Mapping[str, HintReader],
    pictures: Iterable[Mapping[str, np.ndarray]],
    num_frames: int,
    strengths: Mapping[str, ControlStrength] | None = None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    keep_on: torch.device = _CPU,
    on_chunk: Callable[[int], None] | None = None,
) -> dict[str, ControlCondition]:
    """Hint features of every frame, once for all steps and windows.

    Args:
        networks: ControlNets by name.
        pictures: per frame and ControlNet, float32 ``(S, S, 3)`` in the range of training; read once.
        num_frames: how many there are, at least one.
        strengths: by name; as trained where none is given. A ControlNet of strength 0 is left out.
        device, dtype: where and in what they compute.
        keep_on: where the features are kept.
        on_chunk: called after every chunk with the frames done so far; raise in it to cancel.
    """
    used = {name: (strengths or {}).get(name, ControlStrength()) for name in networks}
    used = {name: strength for name, strength in used.items() if strength.strength > 0}
    kept: dict[str, Tensor] = {}
    pending: list[Mapping[str, np.ndarray]] = []
    done = 0
    for picture in pictures:
        pending.append(picture)
        if len(pending) < min(CHUNK_LENGTH, num_frames - done):
            continue
        for name in used:
            shown = torch.from_numpy(np.stack([one[name] for one in pending]))
            features = networks[name].hint_features(shown.to(device, dtype).permute(0, 3, 1, 2))
            if name not in kept:
                kept[name] = features.new_empty((num_frames, *features.shape[1:]), device=keep_on)
            kept[name][done : done + len(pending)] = features
        done += len(pending)
        pending = []
        if on_chunk is not None:
            on_chunk(done)
    if done != num_frames:
        raise ValueError(f"{num_frames} driving frames were announced, {done} came")
    return {name: ControlCondition(kept[name], strength) for name, strength in used.items()}


def compose_hints(
    networks: Mapping[str, HintReader], pictures: Mapping[str, Tensor], shown: Mapping[str, Tensor | None]
) -> dict[str, ControlCondition]:
    """Hint features of one clip or of many, with gradients to the ControlNets' weights.

    Args:
        networks: ControlNets by name.
        pictures: by ControlNet, ``(rows, frames, 3, S, S)`` in the range of training.
        shown: by ControlNet, bool ``(rows,)``, to the others it adds nothing; None: to all.
    """
    return {
        name: ControlCondition(
            network.hint_features(pictures[name].flatten(0, 1)),
            weight=None if (rows := shown[name]) is None else rows.to(pictures[name]),
        )
        for name, network in networks.items()
    }
