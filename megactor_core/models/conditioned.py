"""What networks of attention blocks have in common, whatever else they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .attention import ConditionedAttention, Pass, project
from .denoiser import ONE_PICTURE, Control, KeyValues, Regions


class ConditionedNetwork(nn.Module):
    """A network with blocks that attend to the context.

    Attributes:
        input_layer: name of the layer that takes the latents; its weights tell device and type of them all.
    """

    input_layer: str

    def attending_blocks(self) -> dict[str, ConditionedAttention]:
        """All blocks that attend, by name, in execution order."""
        return {m.name: m for m in self.modules() if isinstance(m, ConditionedAttention)}

    def context_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        """Keys and values of context tokens ``(rows, tokens, cross_attention_dim)`` for every block.

        They depend on nothing else, so a sampler asks for them once per clip.
        """
        return {name: project(block.attn2, tokens) for name, block in self.attending_blocks().items()}

    @property
    def compute_dtype(self) -> torch.dtype:
        """Floating-point type of the activations: that of the weights."""
        return self.get_parameter(f"{self.input_layer}.weight").dtype


class ConditionedDenoiser(ConditionedNetwork, ABC):
    """A denoiser of clips whose blocks read reference, context and sound; see ``denoiser.Denoiser``.

    Attributes:
        longest_window: frames that its temporal modules can take together; None where it has none.
    """

    longest_window: int | None

    @abstractmethod
    def reads(self, block: str) -> bool:
        """Whether the block of this name reads the reference."""

    @abstractmethod
    def embed_time(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        """Embedding ``(..., width)`` of timesteps of any shape, as ``Pass`` has it."""

    @abstractmethod
    def of_levels(self, region: Tensor) -> dict[int, Tensor]:
        """A region ``(..., h, w)`` as ``(n, tokens)`` by the number of a level's tokens."""

    @abstractmethod
    def predict(self, frames: Tensor, shared: Pass) -> Tensor:
        """Prediction ``(n, out_channels, h, w)`` of frames ``(clips * frames, in_channels, h, w)``.

        ``n`` is all rows' frames, or those of one row where nothing has made rows differ.
        """

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.get_parameter(f"{self.input_layer}.weight").device

    def reference_keys_values(self, bank: Mapping[str, Tensor]) -> dict[str, KeyValues]:
        """Keys and values of the reference tokens, ``{block name: (rows, tokens, width)}``.

        They depend on the timestep only, so a sampler asks for them once per step, for all windows.
        """
        blocks = self.attending_blocks().items()
        return {name: project(block.attn1, bank[name]) for name, block in blocks if self.reads(name)}

    def audio_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        """Keys and values of the audio tokens of every frame, ``(rows * frames, tokens, audio_dim)``.

        They depend on nothing else, so a sampler asks for them once per clip.
        """
        blocks = self.attending_blocks().items()
        return {name: project(block.attn_audio, tokens) for name, block in blocks if block.hears}

    def forward(self, *arguments: Any, **options: Any) -> Tensor:
        """Same as ``denoise``."""
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
        reference_weight: float = 1.0,
        regions: Regions = ONE_PICTURE,
    ) -> Tensor:
        """Predict noise (or velocity) for a window of frames; see ``denoiser.Denoiser.denoise``."""
        clips, _, frames, _, _ = sample.shape
        longest = self.longest_window
        if motion and longest is not None and frames > longest:
            raise ValueError(f"a window of {frames} frames is longer than the model's {longest} positions")
        rows = clips if rows is None else rows
        conditional_rows = rows if conditional_rows is None else conditional_rows
        hidden, sounding = regions
        shared = Pass(
            num_frames=frames,
            embedding=self.embed_time(timestep, sample.dtype),
            context=context,
            reference=reference or {},
            reference_weight=reference_weight,
            rows=rows,
            conditional_rows=conditional_rows,
            reference_rows=conditional_rows if reference_rows is None else reference_rows,
            audio=audio or {},
            audio_weight=audio_weight,
            control=control,
            motion=motion,
            hidden={} if hidden is None else self.of_levels(hidden),
            sounding={} if sounding is None else self.of_levels(sounding),
        )
        prediction = self.predict(sample.transpose(1, 2).flatten(0, 1), shared)
        prediction = prediction.unflatten(0, (-1, frames)).transpose(1, 2)
        return prediction if prediction.shape[0] == rows else prediction.expand(rows, -1, -1, -1, -1)
