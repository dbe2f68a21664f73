"""Motion as the user asks for it: amplitude per source, over the clip or per frame; blinking and swaying."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import limits
from .errors import InputError

_BLINK_SECONDS = 0.28
_SHORTEST_PAUSE, _MORE_PAUSE = 1.5, 3.5  # seconds between blinks, as people talk
_CLOSED = 0.12  # height of a shut eye
# Of a head that listens to itself: shares of the picture and degrees, seconds of a sway.
_SHIFT, _TURN, _PERIODS = 0.012, 2.5, (2.3, 3.7, 5.9)

Keyframes = float | Sequence[float] | Mapping[int, float]
"""One value for all frames, one per frame, or some by frame: in between linear, outside the nearest."""


def parse_keyframes(text: str) -> Keyframes:
    """Keyframes as people write them.

    Args:
        text: ``"1"``, one number per frame as in ``"1, 0.8, 0.6"``, or some by frame as in
            ``"0: 1, 25: 0.2"``.

    Raises:
        InputError: anything else.
    """
    parts = [part.partition(":") for part in text.split(",")]
    frames: list[int] = []
    try:
        if all(colon for _, colon, _ in parts):
            frames = [int(frame) for frame, _, _ in parts]
            numbers = [float(value) for _, _, value in parts]
        else:
            numbers = [float("".join(part)) for part in parts]
    except ValueError:
        raise InputError(
            f"keyframes {text!r}",
            "are neither numbers nor frame: value pairs with commas between them",
            "write 1, or 1, 0.8, 0.6 for every frame, or 0: 1, 25: 0.2 for some",
        ) from None
    if len(set(frames)) < len(frames):
        raise InputError(f"keyframes {text!r}", "name a frame twice", "give each frame one value")
    if frames:
        return dict(zip(frames, numbers, strict=True))
    return numbers[0] if len(numbers) == 1 else numbers


@dataclass(frozen=True)
class Amplitude:
    """1 = exactly as driven, 0 = still, 10 at most; each a value for the clip or one per frame.

    Attributes:
        speech: factor of the audio attention, hence of how far sound moves the mouth.
        head_motion: of the driver's head: its shift, rotation and growth since the first frame.
        expression: of what differs from the clip's rest frame in the encoded driver. The head's motion in the
            picture is part of that; ``head_motion`` 0 takes it out before.
    """

    speech: Keyframes = 1.0
    head_motion: Keyframes = 1.0
    expression: Keyframes = 1.0

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            for value in _numbers(values):
                if not 0 <= value <= limits.SCALE:
                    label = f"amplitude of {name.replace('_', ' ')}, {value}"
                    raise InputError(
                        label,
                        f"must be a finite number from 0 to {limits.SCALE:g}",
                        "use 1 for as driven, 0 for still",
                    )

    def check_length(self, num_frames: int) -> None:
        """Raises InputError where keyframes do not fit a clip of so many frames."""
        for name in vars(self):
            self.frames(name, num_frames)

    def frames(self, name: str, num_frames: int) -> NDArray[np.float32]:
        """Values of one of the attributes for every frame, float32 ``(num_frames,)``.

        Raises:
            InputError: keyframes of another length.
        """
        values = getattr(self, name)
        if isinstance(values, Mapping):
            return self._between(name, values, num_frames)
        if not isinstance(values, Sequence):
            return np.full(num_frames, values, np.float32)
        if len(values) != num_frames:
            raise InputError(
                f"amplitude of {name.replace('_', ' ')}",
                f"has {len(values)} values, the clip has {num_frames} frames",
                "give one value, or one per frame",
            )
        return np.asarray(values, np.float32)

    @staticmethod
    def _between(name: str, values: Mapping[int, float], num_frames: int) -> NDArray[np.float32]:
        frames = sorted(values)
        if not frames or frames[0] < 0 or frames[-1] >= num_frames:
            raise InputError(
                f"amplitude of {name.replace('_', ' ')}",
                f"has keyframes {frames}, the clip has frames 0 to {num_frames - 1}",
                "give keyframes of the clip",
            )
        numbers = np.interp(np.arange(num_frames), frames, [values[frame] for frame in frames])
        return numbers.astype(np.float32)


def _numbers(values: Keyframes) -> Iterable[float]:
    if isinstance(values, Mapping):
        return values.values()
    return values if isinstance(values, Sequence) else (values,)


AS_DRIVEN = Amplitude()


@dataclass(frozen=True)
class Liveliness:
    """Own motion of a portrait without a driver; 0 = none, 1 = as people move.

    Attributes:
        blink: how far the eyes shut.
        sway: how far the head moves.
        seed: when it blinks and how it sways.
    """

    blink: float = 1.0
    sway: float = 1.0
    seed: int = 42

    def __post_init__(self) -> None:
        for name, value in (("blink", self.blink), ("sway", self.sway)):
            if not 0 <= value <= 1:
                raise InputError(
                    f"{name} {value}", "must be from 0 to 1", "Use 1 for as people do, 0 for still"
                )

    def openness(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the eyes at these seconds, 1 = as in the portrait."""
        random = np.random.default_rng([self.seed, 0])
        shut, begin = np.zeros_like(times), 0.0
        while times.size and begin <= times[-1]:
            begin += _SHORTEST_PAUSE + _MORE_PAUSE * random.random()
            phase = (times - begin) / _BLINK_SECONDS
            shut += np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 2, 0)
        return 1 - min(self.blink, 1.0) * (1 - _CLOSED) * shut

    def head(
        self,
        times: NDArray[np.float64],
        amplitude: NDArray[np.floating],
        center: NDArray[np.float64],
        size: int,
    ) -> NDArray[np.float64]:
        """Affines (F, 2, 3) of the head at these seconds; the first is the identity."""
        random = np.random.default_rng([self.seed, 1])
        phases = random.uniform(0, 2 * np.pi, (3, len(_PERIODS), 1))
        waves = np.sin(2 * np.pi * times / np.array(_PERIODS)[:, None] + phases).mean(axis=1)
        waves = self.sway * amplitude * (waves - waves[:, :1])
        shift = waves[:2].T * _SHIFT * size
        angle = np.deg2rad(waves[2] * _TURN)
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
        return np.concatenate([turn, (center + shift - turn @ center)[:, :, None]], axis=2)


SCALED = ("speech", "head_motion", "expression")
"""Sources of motion that have an amplitude, as ``megactor_core.motion.Amplitude`` names them."""


@dataclass(frozen=True)
class Motion:
    """Motion settings; the nodes' MEGACTOR_AMPLITUDE.

    Attributes:
        amplitude: of what drives.
        blink, sway: how far a portrait that only a sound drives shuts its eyes and moves its head, 0..1.
    """

    amplitude: Amplitude = AS_DRIVEN
    blink: float = 1.0
    sway: float = 1.0

    def __post_init__(self) -> None:
        Liveliness(self.blink, self.sway)  # checks them


def read_motion(*, blink: float = 1.0, sway: float = 1.0, **widgets: Any) -> Motion:
    """The motion that the widgets of Motion Amplitude stand for.

    Args:
        blink, sway: see ``Motion``.
        widgets: a number per source of motion and, as ``SOURCE_keyframes``, text that goes before it.

    Raises:
        InputError: numbers out of range or not finite, or keyframes that cannot be read.
    """
    values = {}
    for name in SCALED:
        text = widgets.get(f"{name}_keyframes", "").strip()
        values[name] = parse_keyframes(text) if text else widgets.get(name, 1.0)
    return Motion(Amplitude(**values), blink, sway)
