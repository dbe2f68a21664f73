"""A made-up denoiser: what another architecture has to bring, in its smallest form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from megactor_core.models.denoiser import Control, KeyValues
from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.fields import STRICT, Count, Size
from megactor_core.models.kinds import DenoiserKind

BLOCK = "mixer"
PATCH = 2


@dataclass(frozen=True)
class PatchMixerConfig:
    """Widths of the mixer and of what it reads."""

    __pydantic_config__ = STRICT

    patch_size: ClassVar[int] = PATCH

    kind: Literal["patch_mixer"] = "patch_mixer"
    in_channels: Size = 13
    width: Size = 32
    cross_attention_dim: Size = 16
    motion_max_positions: Size = 16
    audio_dim: Count = 0

    def tiny(self, cross_attention_dim: int, audio_dim: int) -> PatchMixerConfig:
        return replace(self, width=8, cross_attention_dim=cross_attention_dim)

    def activation_values(self, cells: int) -> int:
        return cells // PATCH**2 * self.width * 3

    def audio_values(self, tokens: int) -> int:
        return 0


class _Mixer(nn.Module):
    """What both networks share: patches to tokens, and the context's part of them."""

    def __init__(self, config: PatchMixerConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(config.in_channels, config.width, PATCH, PATCH)
        self.time = nn.Linear(1, config.width)
        self.context = nn.Linear(config.cross_attention_dim, config.width)

    @property
    def compute_dtype(self) -> torch.dtype:
        return self.time.weight.dtype

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        pass

    def context_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        return {BLOCK: _one_head(self.context(tokens))}

    def tokens(self, pictures: Tensor, times: Tensor) -> Tensor:
        """``(n, channels, h, w)`` and a time for all or for each -> ``(n, tokens, width)``."""
        embedded = self.time(times.reshape(-1, 1, 1).to(self.compute_dtype) / 1000)
        return self.patches(pictures).flatten(2).transpose(1, 2) + embedded


class PatchReference(_Mixer):
    """Tokens of the portrait."""

    def forward(
        self, latents: Tensor, timestep: Tensor, context: Mapping[str, KeyValues]
    ) -> dict[str, Tensor]:
        return {BLOCK: self.tokens(latents, timestep) + _mean(context)}


class PatchMixer(_Mixer):
    """Mixes patches of a frame with those at their place in other frames, and with the reference."""

    def __init__(self, config: PatchMixerConfig, driving_encoder: DrivingEncoderConfig | None) -> None:
        super().__init__(config)
        self.driving_encoder = None if driving_encoder is None else DrivingEncoder(driving_encoder)
        self.reference = nn.Linear(config.width, 2 * config.width)
        self.frames = nn.Linear(config.width, config.width)
        self.out = nn.Linear(config.width, 4 * PATCH**2)

    @property
    def device(self) -> torch.device:
        return self.time.weight.device

    def reference_keys_values(self, bank: Mapping[str, Tensor]) -> dict[str, KeyValues]:
        return {name: KeyValues(*_one_head(self.reference(t)).key.chunk(2, -1)) for name, t in bank.items()}

    def audio_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        return {}

    def forward(self, *arguments: Any, **options: Any) -> Tensor:
        return self.denoise(*arguments, **options)

    def denoise(
        self,
        sample: Tensor,
        timestep: Tensor,
        context: Mapping[str, KeyValues],
        reference: Mapping[str, KeyValues] | None = None,
        *,
        rows: int | None = None,
        conditional_rows: int | None = None,
        reference_rows: int | None = None,
        audio: Mapping[str, KeyValues] | None = None,
        audio_weight: float | Tensor = 1.0,
        control: Control | None = None,
        motion: bool = True,
        reference_weight: float = 1.0,  # of all the tokens it reads, so that it makes no difference
    ) -> Tensor:
        clips, _, frames, height, width = sample.shape
        rows = clips if rows is None else rows
        sample = F.pad(sample, (0, width % PATCH, 0, height % PATCH))
        reading = rows if conditional_rows is None else conditional_rows
        reading = reading if reference_rows is None else reference_rows
        sample = sample.expand(rows, *sample.shape[1:])
        times = timestep.expand(rows, frames) if timestep.ndim == 2 else timestep.expand(rows)[:, None]
        times = times.expand(rows, frames).flatten()
        tokens = self.tokens(sample.transpose(1, 2).flatten(0, 1), times).unflatten(0, (rows, frames))
        tokens = tokens + _mean(context)[:, None]
        if motion:
            tokens = tokens + self.frames(tokens.mean(1, keepdim=True))
        if reference is not None and reading:
            key, value = (part.expand(reading, -1, -1, -1) for part in reference[BLOCK])
            query = tokens[rows - reading :].flatten(1, 2)[:, None]
            read = F.scaled_dot_product_attention(query, key, value)[:, 0].unflatten(1, (frames, -1))
            tokens = torch.cat([tokens[: rows - reading], tokens[rows - reading :] + read])
        cells = self.out(F.silu(tokens)).flatten(0, 1).transpose(1, 2)
        pictures = F.pixel_shuffle(cells.unflatten(2, (-(-height // PATCH), -(-width // PATCH))), PATCH)
        return pictures[..., :height, :width].unflatten(0, (rows, frames)).transpose(1, 2)


def _one_head(tokens: Tensor) -> KeyValues:
    return KeyValues(tokens[:, None], tokens[:, None])


def _mean(context: Mapping[str, KeyValues]) -> Tensor:
    return context[BLOCK].value.mean((1, 2))[:, None]


KIND = DenoiserKind(PatchMixerConfig, lambda: (PatchMixer, PatchReference))
