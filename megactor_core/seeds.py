"""Random generators that depend on nothing but (seed, step, purpose), so that a resumed run repeats them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

_SPLIT_KEYS = {"train": 1, "held-out": 2}

Split = Literal["train", "held-out"]

MODALITY, SPEECH, HINTS, PICTURES = 1, 2, 3, 4
"""Purposes of a clip's generator beside its content: what is shown and heard of it; what its puppet says, and
in which mood; how hints of ControlNets are changed; whether a picture is a puppet, and which piece is
taken."""

# Separate streams, so that data and noise of one step, or training and held-out data, never share a sequence.
TRAINING_DATA, NOISE, VALIDATION_DATA, VALIDATION_NOISE, INITIAL_WEIGHTS = range(5)


def numpy_generator(seed: int, stream: int, *position: int) -> np.random.Generator:
    """Generator of one stream at a position, e.g. (step) or (step, sample)."""
    return np.random.default_rng((seed, stream, *position))


def torch_generator(seed: int, stream: int, *position: int) -> torch.Generator:
    """Random generator of torch, on the CPU: draws do not depend on the device."""
    state = np.random.SeedSequence((seed, stream, *position)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)


def clip_generator(seed: int, index: int, split: Split = "train", *purpose: int) -> np.random.Generator:
    """Random generator of one clip (or training sample).

    Every generator comes from ``SeedSequence(seed, spawn_key=(split's key, index, *purpose))``. Training must
    draw everything from generators of the split "train" (or their children); the split's key then keeps each
    held-out clip outside of what any training seed and index can produce.

    Args:
        seed: 0 or more.
        index: number of the clip, 0 or more.
        split: "train" or "held-out".
        purpose: keeps a sequence apart from the one that draws the clip's content.
    """
    key = (_SPLIT_KEYS[split], index, *purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def frame_generator(seed: int, index: int, stream: int = 0) -> torch.Generator:
    """CPU generator of one frame: the same whatever the device, the chunking or the clip's length.

    Stream 0 draws the start noise, stream 1 what a stochastic scheduler adds on the way; stream 2 belongs to
    the windows and counts steps instead of frames.
    """
    state = np.random.SeedSequence([seed, index, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))
