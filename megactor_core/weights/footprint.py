"""Memory that a model's weights take, counted without building them."""

from __future__ import annotations

import torch

from ..models.build import build_networks
from ..models.config import ModelConfig


def weight_bytes(config: ModelConfig, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of each network's weights in ``dtype``, by the network's name."""
    with torch.device("meta"):
        networks = build_networks(config)
    return {
        name: sum(tensor.numel() for tensor in network.state_dict().values()) * dtype.itemsize
        for name, network in networks.items()
    }
