"""The memory of a full-size training step, which docs/performance.md tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.training_memory import GIB, count_step
from megactor_core.training.config.run import read_config

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def test_a_step_of_stage_2_fits_on_a_gpu_of_24_gb():
    memory, _ = count_step(read_config(CONFIGS / "megactor_stage2.yaml"))
    assert memory.trained == 417_137_600
    assert memory.total / GIB == pytest.approx(16.90, abs=0.3)
    assert memory.activations / GIB == pytest.approx(2.0, abs=0.3)
