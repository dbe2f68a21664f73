"""The largest numbers that a user can give, in one place for command line, nodes and configurations."""

from __future__ import annotations

SEED = 2**63 - 1
"""What a torch generator takes."""
STEPS = 1000
"""Timesteps of the noise schedule; a scheduler may have fewer steps, see ``sampling.schedule``."""
GUIDANCE = 100.0
SCALE = 10.0
"""Of a LoRA (either way), a motion amplitude, a ControlNet's strength: as trained is 1."""
REFERENCE_STRENGTH = 1.5
"""Of the attention to the portrait; as trained is 1."""
PIXELS = 100_000
"""Coordinates and sides; FFmpeg and the checks of memory refuse what is too large for them before that."""
COUNT = 10**9
"""Of frames, clips and steps of training."""
ERROR_WEIGHT = 1e6
"""Of one error beside the others of a loss."""
