"""Exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .processes import assign


class ExponentialMovingAverage:
    """Keeps ``average = decay * average + (1 - decay) * weight`` for named parameters.

    At first the decay is at most ``(1 + step) / (10 + step)``, so that the random start is forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.parameters = dict(parameters)
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after optimizer step ``step`` (0-based) in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averages.values()), [p.detach() for p in self.parameters.values()], 1 - decay
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The networks hold the averages inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        # In place: a process that holds parts of the weights (FSDP) keeps views of their memory.
        for name, parameter in self.parameters.items():
            weight = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(weight)

    def load(self, averages: Mapping[str, Tensor]) -> None:
        """Take over saved averages."""
        for name, average in self.averages.items():
            assign(average, averages[name])
