"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math

from .config import OptimizerConfig


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Rate of step ``step`` (0-based) of ``steps``: linear warm-up, then constant or cosine to 0."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "cosine":
        length = config.decay_steps or steps - config.warmup_steps
        progress = max(0.0, (step - (steps - length)) / max(1, length))
        rate *= 0.5 * (1 + math.cos(math.pi * progress))
    return rate
