"""Random generators that depend on nothing but (seed, step, purpose), so that a resumed run repeats them."""

from __future__ import annotations

import numpy as np
import torch

# Separate streams, so that data and noise of one step, or training and held-out data, never share a sequence.
TRAINING_DATA, NOISE, VALIDATION_DATA, VALIDATION_NOISE, INITIAL_WEIGHTS = range(5)


def numpy_generator(seed: int, stream: int, *position: int) -> np.random.Generator:
    """Generator of one stream at a position, e.g. (step) or (step, sample)."""
    return np.random.default_rng((seed, stream, *position))


def torch_generator(seed: int, stream: int, *position: int) -> torch.Generator:
    """The same for torch, on the CPU: draws do not depend on the device."""
    state = np.random.SeedSequence((seed, stream, *position)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)
