"""Motion of puppets: the normalised parameters of a pose, and smooth random talking-head motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

MOTION_NAMES = (
    "yaw",
    "pitch",
    "roll",
    "x",
    "y",
    "scale",
    "gaze_x",
    "gaze_y",
    "eyelid_left",
    "eyelid_right",
    "brow_left",
    "brow_right",
    "mouth_open",
    "mouth_width",
    "smile",
)
"""Parameters of a pose, in the order of a motion array's last axis.

Left and right are the picture's. Positive yaw turns to the picture's right, positive pitch downwards,
positive roll clockwise; x, y, gaze_x and gaze_y are positive to the right and downwards; positive scale is
nearer; brows are positive upwards; positive smile lifts the corners of the mouth, negative lowers them.
All lie in [-1, 1], except eyelids (0 closed, 1 wide open) and mouth_open (0 closed, 1 wide open).
"""

MOUTH_NAMES = ("mouth_open", "mouth_width", "smile")
"""Parameters that speech moves."""

MOUTH_COLUMNS = [MOTION_NAMES.index(name) for name in MOUTH_NAMES]
"""Their places in a motion array's last axis."""

MOTION_RANGES = np.array(
    [(0, 1) if name.startswith("eyelid") or name == "mouth_open" else (-1, 1) for name in MOTION_NAMES],
    dtype=np.float32,
)
"""Lowest and highest value of each parameter, float32 (15, 2)."""

NEUTRAL_MOTION = np.array(
    [0.85 if name.startswith("eyelid") else 0.0 for name in MOTION_NAMES], dtype=np.float32
)
"""A centred, calm face with open eyes and a closed mouth, float32 (15,)."""


def wander(
    rng: np.random.Generator,
    times: FloatArray,
    move: tuple[float, float],
    hold: tuple[float, float],
    spread: float,
) -> NDArray[np.float64]:
    """Values in [-1, 1] that glide to random targets and rest there, evaluated at ``times`` (seconds).

    A glide lasts ``move`` seconds and a rest ``hold`` seconds (both drawn from a uniform range). The clock
    starts anywhere in the first period, so that every instant has the same distribution.
    """
    count = int(times[-1] / (move[0] + hold[0])) + 3
    moves = rng.uniform(*move, count)
    periods = moves + rng.uniform(*hold, count)
    starts = np.concatenate(([0.0], np.cumsum(periods)))
    targets = np.clip(rng.normal(0, spread, count + 1), -1, 1)
    clock = times + rng.uniform(0, periods[0])
    index = np.minimum(np.searchsorted(starts, clock, side="right") - 1, count - 1)
    phase = np.clip((clock - starts[index]) / moves[index], 0, 1)
    weight = phase * phase * phase * (10 + phase * (6 * phase - 15))
    return targets[index] + (targets[index + 1] - targets[index]) * weight


def _bumps(
    rng: np.random.Generator,
    times: FloatArray,
    spacing: tuple[float, float],
    width: tuple[float, float],
) -> NDArray[np.float64]:
    """Events of height 1 at random times: ``spacing`` and half ``width`` in seconds; 0 between them."""
    count = int((times[-1] + 2 * spacing[1]) / spacing[0]) + 2
    gaps = rng.uniform(*spacing, count)
    centres = np.cumsum(gaps) - spacing[1] - rng.uniform(0, gaps[0])
    widths = rng.uniform(*width, count)
    distance = np.abs(times[:, None] - centres[None]) / widths[None]
    flat = np.clip(1.6 * (1 - distance), 0, 1)
    return np.asarray((flat * flat * (3 - 2 * flat)).max(axis=1))


def _speech(rng: np.random.Generator, times: FloatArray) -> NDArray[np.float64]:
    """Mouth opening in [0, 1]: syllables of 2 to 4 a second inside phrases, with pauses."""
    syllables = wander(rng, times, (0.14, 0.26), (0.0, 0.12), 0.55) * 0.62 + 0.48
    phrase = np.clip(0.75 + 1.6 * wander(rng, times, (0.25, 0.5), (0.4, 1.4), 0.5), 0, 1)
    return np.clip(syllables * phrase, 0, 1)


def sample_motion(rng: np.random.Generator, num_frames: int, frame_rate: float = 25.0) -> FloatArray:
    """Smooth, lively talking-head motion.

    Returns:
        float32 (num_frames, 15), parameters in the order and ranges of `MOTION_NAMES`. The distribution of
        one frame does not depend on its place in the clip.
    """
    times = (np.arange(num_frames) / frame_rate).astype(np.float32)
    motion = np.empty((num_frames, len(MOTION_NAMES)))
    head = ((0.5, 1.0), (0.0, 0.7))
    for column, spread in enumerate((0.6, 0.55, 0.55, 0.55, 0.55, 0.55)):
        motion[:, column] = wander(rng, times, *head, spread)
    for column in (6, 7):
        motion[:, column] = wander(rng, times, (0.16, 0.3), (0.2, 0.9), 0.65)
    blink = _bumps(rng, times, (1.0, 3.2), (0.14, 0.3))
    rest = wander(rng, times, (0.2, 0.5), (0.3, 1.0), 0.6)
    for column in (8, 9):
        own = wander(rng, times, (0.2, 0.4), (0.3, 0.9), 0.6)
        wink = _bumps(rng, times, (2.0, 6.0), (0.2, 0.4))
        opening = np.clip(0.82 + 0.16 * rest + 0.16 * own, 0, 1)
        motion[:, column] = opening * (1 - np.maximum(blink, wink))
    both = wander(rng, times, (0.2, 0.45), (0.3, 1.0), 0.6)
    for column in (10, 11):
        motion[:, column] = 0.75 * both + 0.6 * wander(rng, times, (0.2, 0.45), (0.3, 1.0), 0.6)
    motion[:, 12] = _speech(rng, times)
    motion[:, 13] = wander(rng, times, (0.2, 0.4), (0.0, 0.4), 0.6)
    motion[:, 14] = wander(rng, times, (0.3, 0.7), (0.3, 1.2), 0.6) + 0.1
    return np.clip(motion, MOTION_RANGES[:, 0], MOTION_RANGES[:, 1]).astype(np.float32)


def sample_pose(rng: np.random.Generator) -> FloatArray:
    """One pose, float32 (15,), with the distribution that each frame of `sample_motion` has."""
    return sample_motion(rng, 1)[0]


def at_rest(motion: FloatArray) -> FloatArray:
    """Motion (frames, 15) whose mouth is at rest: what a face shows that says nothing."""
    resting = motion.copy()
    resting[:, MOUTH_COLUMNS] = NEUTRAL_MOTION[MOUTH_COLUMNS]
    return resting
