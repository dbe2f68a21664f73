"""Compilation of the blocks that networks repeat, by torch.compile."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

_BLOCKS = (ResnetBlock2D, FeedForward)
"""Blocks of tensors alone. Attentions are left: their kernels are fused, and what a clip is given differs."""

_SHAPES = 64
"""Shapes that one block may be compiled for, over the levels of a network; torch gives up after 8."""


def compile_blocks(networks: Iterable[nn.Module], backend: str = "inductor") -> None:
    """Compile residual blocks and feed-forward layers where they are first called; names stay the same.

    Args:
        networks: whose blocks are compiled, in place.
        backend: of torch.compile.
    """
    torch._dynamo.config.recompile_limit = _SHAPES
    for network in networks:
        for block in network.modules():
            if isinstance(block, _BLOCKS):
                block.compile(backend=backend)
