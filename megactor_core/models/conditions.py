"""Conditions of one clip or several, one row each: frozen values that the denoiser reads.

Animation makes one clip at a time; in training a batch has a row for every clip. Shapes begin with the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from .. import limits
from ..errors import InputError
from ..precision import CHECK_WEIGHTS, all_finite, not_finite

Condition = TypeVar("Condition", bound=Any)


def moved(condition: Condition, device: torch.device, dtype: torch.dtype | None = None) -> Condition:
    """One of the conditions below on a device and, if given, in a floating-point type."""
    tensors = {
        name: value.to(device, dtype if value.is_floating_point() else None)
        for name, value in vars(condition).items()
        if value is not None
    }
    return replace(condition, **tensors)


@dataclass(frozen=True)
class ReferenceCondition:
    """The still portrait.

    Attributes:
        latents: scaled posterior mean for the reference network, ``(rows * references, channels, h, w)``; the
            references of a row are read together.
        static_channels: what joins the noisy latent in every frame, ``(rows, channels, 1, h, w)``: in
            MegActor the concatenated reference latent, then the background mask (1 = background); else no
            channel.
        modulation: scale and shift for the encoder of driving frames, ``(rows, 2 * width)``; ``(rows, 0)``
            where it takes none.
    """

    latents: Tensor
    static_channels: Tensor
    modulation: Tensor


@dataclass(frozen=True)
class BackgroundCondition:
    """Context tokens, ``(1 or rows, tokens, cross_attention_dim)``: of the background, or the model's own."""

    tokens: Tensor


@dataclass(frozen=True)
class DrivingFeatures:
    """Driving frames encoded without the portrait.

    Another portrait modulates the same features; ``conditioning.driving.modulate_driving`` does it.

    Attributes:
        features: ``(frames, width, h, w)``; width 0 where the driver does not join the noisy latent.
        controls: what ControlNets are shown of it, where the model has some.
    """

    features: Tensor
    controls: Mapping[str, ControlCondition] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        return self.features.shape[0]


@dataclass(frozen=True)
class DrivingCondition:
    """Encoded driving frames.

    Attributes:
        features: ``(rows, channels, frames, h, w)``; no channel where the driver does not join the noisy
            latent.
        unconditional: what the unconditional row of guidance sees in every frame, ``(1, channels, 1, h, w)``;
            None where it sees the same.
    """

    features: Tensor
    unconditional: Tensor | None = None

    @property
    def num_frames(self) -> int:
        return self.features.shape[2]


@dataclass(frozen=True)
class AudioCondition:
    """The sound of a clip; of several, their moments and frames one after the other.

    Attributes:
        features: ``(moments, layers, audio_dim)``: hidden states of the audio encoder, 50 moments per second.
        rows: those that every frame hears, int64 ``(frames, n)``; ``n * layers`` tokens, time-major.
        weight: factor of the audio attention per frame, ``(frames,)``; 1 = as trained, 0 = no effect.
    """

    features: Tensor
    rows: Tensor
    weight: Tensor


@dataclass(frozen=True)
class ControlStrength:
    """Strength of a ControlNet, and the part of the schedule in which it counts.

    Attributes:
        strength: factor of what it adds, 0 to 10; 1 = as trained, 0 switches it off.
        start, end: share of the noise schedule, 0..1, where it begins and where it stops to count.
    """

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= limits.SCALE:
            raise InputError(
                f"strength {self.strength}",
                f"must be 0 or more, and {limits.SCALE:g} at most",
                "use 0 to 2; 1 is as trained",
            )
        if not 0 <= self.start <= self.end <= 1:
            raise InputError(
                f"start {self.start:g}, end {self.end:g}",
                "must be shares of the noise schedule, the start not after the end",
                "use 0 to 1",
            )

    def at(self, timestep: int) -> float:
        """Factor at a timestep, which sampling counts from the last one down to 0."""
        return self.strength if self.start <= 1 - timestep / (limits.STEPS - 1) <= self.end else 0.0


@dataclass(frozen=True)
class ControlCondition:
    """Hints of one ControlNet, and its strength.

    Attributes:
        features: its hint features, ``(rows * frames, width, h, w)``. They are large: they may stay in main
            memory, and sampling moves those of a window at a time.
        use: the same for all rows.
        weight: factor per row, ``(rows,)``; None is 1.
    """

    features: Tensor
    use: ControlStrength = ControlStrength()
    weight: Tensor | None = None


@dataclass(frozen=True)
class StartCondition:
    """Clean latents that the start noise is blended with instead of the reference's.

    ``latents`` is ``(1, channels, frames, h, w)``, scaled.
    """

    latents: Tensor


@dataclass(frozen=True)
class Conditions:
    """All together; the unconditional row of guidance is told neither reference nor sound nor controls.

    ``controls`` has an entry for every ControlNet that is used. ``reference_strength`` is the factor of the
    attention weights that the reference's tokens get beside the frame's own, 0 to 1.5: 1 = as trained; 0 =
    exactly as if there were no such tokens.
    """

    reference: ReferenceCondition
    background: BackgroundCondition
    driving: DrivingCondition
    audio: AudioCondition | None = None
    start: StartCondition | None = None
    controls: Mapping[str, ControlCondition] = field(default_factory=dict)
    reference_strength: float = 1.0

    @property
    def num_frames(self) -> int:
        return self.driving.num_frames

    @property
    def num_rows(self) -> int:
        """Clips."""
        return self.driving.features.shape[0]

    def of_rows(self, rows: Tensor) -> Conditions:
        """Those of some clips, int64 ``(n,)``, in this order; of conditions without a start."""
        count, reference, tokens = self.num_rows, self.reference, self.background.tokens
        audio = self.audio
        if audio is not None:
            of_frames = (_of_rows(part, count, rows) for part in (audio.rows, audio.weight))
            audio = AudioCondition(audio.features, *of_frames)
        return Conditions(
            ReferenceCondition(
                _of_rows(reference.latents, count, rows),
                reference.static_channels[rows],
                reference.modulation[rows],
            ),
            BackgroundCondition(tokens if len(tokens) == 1 else tokens[rows]),
            replace(self.driving, features=self.driving.features[rows]),
            audio,
            controls={
                name: replace(
                    control,
                    features=_of_rows(control.features, count, rows),
                    weight=None if control.weight is None else control.weight[rows],
                )
                for name, control in self.controls.items()
            },
            reference_strength=self.reference_strength,
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditions:
        """Conditions on a device and in a floating-point type; the controls stay where they are."""
        stays = ("controls", "reference_strength")
        given = {name: part for name, part in vars(self).items() if part is not None and name not in stays}
        return replace(self, **{name: moved(part, device, dtype) for name, part in given.items()})

    def check_finite(self) -> None:
        """Refuse conditions that are not finite, of which no clip can be made.

        Raises:
            InputError: some of them are not.
        """
        parts = {
            "the encoded portrait": self.reference,
            "the encoded background": self.background,
            "the encoded driver": self.driving,
            "the encoded sound": self.audio,
            "the encoded start video": self.start,
            **{f"the encoded hint {name}": control for name, control in self.controls.items()},
        }
        for what, part in parts.items():
            for value in vars(part).values() if part is not None else ():
                if isinstance(value, Tensor) and value.is_floating_point() and not all_finite(value):
                    raise not_finite(what, value.dtype, CHECK_WEIGHTS)

    def static_channels(self, indices: list[int] | slice, guided: bool = False) -> Tensor:
        """Channels that follow the noisy latent for some frames, ``(rows, channels, frames, h, w)``.

        Of one clip there are two rows if ``guided`` and the unconditional row, which comes first, sees
        another driver.
        """
        driving = self.driving.features[:, :, indices]
        if guided and self.driving.unconditional is not None:
            driving = torch.cat([self.driving.unconditional.expand_as(driving), driving])
        constant = self.reference.static_channels.expand(len(driving), -1, driving.shape[2], -1, -1)
        return torch.cat([constant, driving], dim=1)


def _of_rows(tensor: Tensor, count: int, rows: Tensor) -> Tensor:
    """Entries of some of ``count`` rows that lie one after the other on the first axis."""
    return tensor.unflatten(0, (count, -1))[rows].flatten(0, 1)
