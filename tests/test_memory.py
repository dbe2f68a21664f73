"""What a clip needs is known before the work begins."""

from __future__ import annotations

import pytest
import torch

from megactor_core.animation.memory import check_memory, hint_bytes
from megactor_core.errors import InputError
from megactor_core.families.megactor import CONFIG as MEGACTOR
from megactor_core.families.xportrait import CONFIG as XPORTRAIT
from megactor_core.sampling.sampler import SamplingSettings


def test_hints_of_a_long_clip_are_counted() -> None:
    frame = 2 * 64 * 64 * 320 * 2  # two ControlNets, half precision
    assert hint_bytes(XPORTRAIT, 512, 100, torch.float16) == 100 * frame
    assert hint_bytes(MEGACTOR, 512, 100, torch.float16) == 0
    settings = SamplingSettings.from_defaults(XPORTRAIT.defaults)
    device, dtype = torch.device("cpu"), torch.float16
    with pytest.raises(InputError, match="GiB of memory are needed"):
        check_memory(XPORTRAIT, settings, 512, 10**6, device=device, dtype=dtype, weights_loaded=True)
