"""Gives a built network the host's layers, so that the host can page, cast and interrupt it."""

from __future__ import annotations

from functools import cache

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import nn


class Held(nn.Module):
    """A network inside one whose device the host can set; that of transformers' models is computed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


# Only layers of these classes are moved and cast by the host one by one; any other layer has to be resident.
_HOST_LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: comfy.ops.manual_cast.Linear,
    nn.Embedding: comfy.ops.manual_cast.Embedding,
    nn.Conv1d: comfy.ops.manual_cast.Conv1d,
    nn.Conv2d: comfy.ops.manual_cast.Conv2d,
    nn.GroupNorm: comfy.ops.manual_cast.GroupNorm,
    nn.LayerNorm: comfy.ops.manual_cast.LayerNorm,
}


def use_host_layers(network: nn.Module) -> None:
    """Turn every torch layer of a network into the host's of the same kind; weights stay as they are.

    A layer of the core on top of torch's gets the host's under it: it uses its weights through torch's
    ``forward`` alone.

    Raises:
        TypeError: a layer with weights that the host knows nothing about.
    """
    for name, module in network.named_modules():
        kind: type[nn.Module] = type(module)
        if issubclass(kind, tuple(_HOST_LAYERS)):
            module.__class__ = _host_layer(kind)  # type: ignore[arg-type]
            if isinstance(module, nn.Embedding):
                module.register_parameter("bias", None)  # as the host's own has it
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"{name}: {kind.__name__} holds weights, but has no host layer")


@cache
def _host_layer(kind: type[nn.Module]) -> type[nn.Module]:
    if kind in _HOST_LAYERS:
        return _HOST_LAYERS[kind]
    host = next(host for plain, host in _HOST_LAYERS.items() if issubclass(kind, plain))
    return type(f"Host{kind.__name__}", (kind, host), {})


def inference_dtypes(network: nn.Module) -> tuple[torch.dtype, torch.dtype | None]:
    """Type of the weights and, where the device computes in another one, that type."""
    device = comfy.model_management.get_torch_device()
    count = sum(parameter.numel() for parameter in network.parameters())
    dtype = comfy.model_management.unet_dtype(device=device, model_params=count)
    return dtype, comfy.model_management.unet_manual_cast(dtype, device)


def host_patcher(model: nn.Module, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The host's handle on a network: loads, offloads, patches it; on request never pages it dynamically."""
    comfy.model_management.archive_model_dtypes(model)
    # looked up at call time: the host rebinds it at start
    patchers = comfy.model_patcher
    return (patchers.ModelPatcher if disable_dynamic else patchers.CoreModelPatcher)(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
