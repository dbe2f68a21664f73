"""Weights that are not trained, held in half their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

_FIRST = ("conv_in", "pos_embed.proj")


def hold_in_bf16(networks: Iterable[tuple[str, nn.Module]], trainable: Callable[[str], bool]) -> None:
    """Round the frozen matrices and kernels of networks to bf16, in place.

    Under autocast in bf16 they are rounded for every product anyway, so that the loss keeps its bits. Norms
    and biases, which are small, stay; so do first layers, whose type is that of what a network is given.

    Args:
        networks: with their names.
        trainable: whether the parameter ``network.parameter`` is trained.
    """
    for prefix, network in networks:
        for name, module in network.named_modules(prefix=prefix):
            products = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
            if products and not name.endswith(_FIRST) and not trainable(f"{name}.weight"):
                module.weight.data = module.weight.data.to(torch.bfloat16)
