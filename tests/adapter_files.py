"""Adapters that are no plain LoRA, as LyCORIS writes them: parts by their names behind the layer's."""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]
RANK = 2


def _random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator) / 4


def locon(weight: Tensor) -> State:
    """A convolution's LoRA with a third factor (CP decomposition)."""
    out, into, *kernel = weight.shape
    ones = [1] * len(kernel)
    return {
        "lora_down.weight": _random(RANK, into, *ones),
        "lora_mid.weight": _random(RANK, RANK, *kernel),
        "lora_up.weight": _random(out, RANK, *ones),
        "alpha": torch.tensor(4.0),
    }


def loha(weight: Tensor) -> State:
    out, into = weight.flatten(1).shape
    return {
        "hada_w1_a": _random(out, RANK),
        "hada_w1_b": _random(RANK, into),
        "hada_w2_a": _random(out, RANK) + 1,
        "hada_w2_b": _random(RANK, into) - 1,
        "alpha": torch.tensor(1.0),
    }


def loha_tucker(weight: Tensor) -> State:
    out, into, *kernel = weight.shape
    state = {"alpha": torch.tensor(1.0)}
    for side in (1, 2):
        state |= {
            f"hada_t{side}": _random(RANK, RANK, *kernel),
            f"hada_w{side}_a": _random(RANK, out) + side,
            f"hada_w{side}_b": _random(RANK, into) - side,
        }
    return state


def lokr(weight: Tensor) -> State:
    """One whole factor and one of low rank."""
    out, into, *kernel = weight.shape
    inner = into // 2
    for length in kernel:
        inner *= length
    return {
        "lokr_w1": _random(2, 2),
        "lokr_w2_a": _random(out // 2, RANK),
        "lokr_w2_b": _random(RANK, inner),
        "alpha": torch.tensor(1.0),
    }


def lokr_whole(weight: Tensor) -> State:
    """Two whole factors: alpha does not count."""
    out, into, *kernel = weight.shape
    return {
        "lokr_w1": _random(2, 2),
        "lokr_w2": _random(out // 2, into // 2, *kernel),
        "alpha": torch.tensor(7.0),
    }


def lokr_tucker(weight: Tensor) -> State:
    out, into, *kernel = weight.shape
    return {
        "lokr_w1_a": _random(2, RANK),
        "lokr_w1_b": _random(RANK, 2),
        "lokr_t2": _random(RANK, RANK, *kernel),
        "lokr_w2_a": _random(RANK, out // 2),
        "lokr_w2_b": _random(RANK, into // 2),
        "alpha": torch.tensor(1.0),
    }


def difference(weight: Tensor) -> State:
    return {"diff": _random(*weight.shape), "diff_b": _random(weight.shape[0])}


def dora_of_columns(weight: Tensor) -> State:
    """LyCORIS' default: a magnitude for every input."""
    state = loha(weight)
    return {**state, "dora_scale": _random(1, weight.shape[1], *[1] * (weight.ndim - 2)) + 3}


def whole_weight(weight: Tensor) -> State:
    return {"set_weight": _random(*weight.shape)}
