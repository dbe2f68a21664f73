"""AdamW over named parameters, in 32 or 8 bits, and its state as tensors and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..config.run import OptimizerConfig
from ..distributed import assign

Numbers = dict[str, Any]


def build_optimizer(config: OptimizerConfig, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a configuration; each of its groups has a ``factor`` for ``set_rate``.

    Raises:
        InputError: a group without parameters; 8-bit states are asked for without bitsandbytes, or for
            weights that are spread over processes.
    """
    groups = _groups(config, parameters)
    options: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
        "eps": config.epsilon,
    }
    if config.name == "adamw":
        return torch.optim.AdamW(groups, fused=True, **options)
    if any(hasattr(parameter, "device_mesh") for parameter in parameters.values()):
        problem = "does not work on weights that are spread over processes (FSDP)"
        raise InputError("optimizer.name: adamw_8bit", problem, "Use adamw, whose states are spread as well")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise InputError(
            "optimizer.name: adamw_8bit", "needs bitsandbytes, which is not installed",
            "pip install bitsandbytes, or use adamw",
        ) from None  # fmt: skip
    return AdamW8bit(groups, **options)


def _groups(config: OptimizerConfig, parameters: Mapping[str, nn.Parameter]) -> list[dict[str, Any]]:
    """One group for each part of ``group_rates``, and one for the parameters that none of them names."""
    rest = dict(parameters)
    groups = []
    for part, factor in config.group_rates.items():
        own = [rest.pop(name) for name in parameters if name in rest and part in name]
        if not own:
            raise InputError(
                f"optimizer.group_rates: {part}",
                "is in the name of no trained parameter that an earlier part leaves to it",
                f"Name a part of a name such as {next(iter(parameters))}",
            )
        groups.append({"params": own, "factor": factor})
    return [*groups, {"params": [*rest.values()], "factor": 1.0}] if rest else groups


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def optimizer_state(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> tuple[dict[str, Tensor], Numbers]:
    """Tensors and numbers of the state, each named ``kind.parameter``."""
    tensors: dict[str, Tensor] = {}
    numbers: Numbers = {}
    for name, parameter in parameters.items():
        for kind, value in optimizer.state[parameter].items():
            if kind.startswith("qmap"):
                # One table of bitsandbytes serves all weights; a file has no such links.
                value = value.clone()
            (tensors if isinstance(value, Tensor) else numbers)[f"{kind}.{name}"] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
    numbers: Numbers,
) -> None:
    """Take over what ``optimizer_state`` gave."""
    for key, saved in tensors.items():
        kind, name = key.split(".", 1)
        parameter = parameters[name]
        if saved.shape == parameter.shape and saved.is_floating_point() and saved.ndim:
            # The fused kernel wants moments in the memory format of their weight.
            value = torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False)
            assign(value, saved)
        else:
            value = saved.to(parameter.device)
        optimizer.state[parameter][kind] = value
    for key, number in numbers.items():
        kind, name = key.split(".", 1)
        optimizer.state[parameters[name]][kind] = number


def learning_rate(config: OptimizerConfig, step: int, steps: int, restarted: int = 0) -> float:
    """Rate of step ``step`` (0-based) of ``steps``: linear warm-up, then constant or cosine to 0.

    An optimizer that began anew at step ``restarted`` is warmed up from there.
    """
    rate = config.learning_rate * min(1.0, (step - restarted + 1) / max(1, config.warmup_steps))
    if config.schedule == "cosine":
        length = config.decay_steps or steps - config.warmup_steps
        progress = max(0.0, (step - (steps - length)) / max(1, length))
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
    return rate


def learning_rates(config: OptimizerConfig, rate: float) -> dict[str, float]:
    """Names in the log, and rates: the one that has no factor, and that of every group."""
    groups = {f"learning_rate/{part}": rate * factor for part, factor in config.group_rates.items()}
    return {"learning_rate": rate, **groups}
