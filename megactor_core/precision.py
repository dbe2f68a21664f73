"""Numbers that are not finite: found where they arise, and refused with what to do from where one is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import InputError

if TYPE_CHECKING:  # takes seconds to import
    from diffusers import ModelMixin

CHECK_WEIGHTS = "Check the weights (python -m megactor_core weights verify)"
"""What to do where a network alone can be at fault."""


def all_finite(values: Tensor) -> bool:
    """Whether no value is infinite or not a number. One pass without a copy, after waiting for the device."""
    return not values.numel() or bool(torch.stack(torch.aminmax(values)).isfinite().all())


def not_finite(what: str, dtype: torch.dtype, remedy: str) -> InputError:
    """The error for a result that is not finite.

    Args:
        what: the result, as a singular.
        dtype: that it was computed in.
        remedy: what to do where no other type is wider.
    """
    name = str(dtype).removeprefix("torch.")
    if dtype == torch.float32:
        return InputError(what, "is not finite, even in float32", remedy)
    wider = "bfloat16 or float32" if dtype == torch.float16 else "float32"
    return InputError(name, f"{what} is not finite in this precision", f"Use {wider}")


@contextmanager
def in_float32(network: ModelMixin) -> Iterator[None]:
    """Inside, a network computes in float32, whatever its own type and autocast.

    Args:
        network: with all of its weights on one device and in one type, which they have again afterwards.
    """
    dtype = network.dtype
    _convert(network, torch.float32)
    try:
        with torch.autocast(network.device.type, enabled=False):
            yield
    finally:
        _convert(network, dtype)


def _convert(network: ModelMixin, dtype: torch.dtype) -> None:
    with torch.inference_mode(False):  # weights that are made in it could not be trained any more
        network.to(dtype)
