"""One guided prediction for a whole clip: windows, guidance, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..models.conditions import Conditions
from ..models.denoiser import Denoiser, HintReader, KeyValues, ReferenceWriter
from .clip_reader import ClipReader
from .windows import WindowWeights, window_weights


class ClipDenoiser:
    """Predicts noise (or velocity) of all frames at a timestep.

    Nothing is computed twice: see ``ClipReader``, which reads for all windows; both guidance rows share
    everything up to the first block where they differ. Predictions of overlapping windows are averaged per
    frame.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        reference_network: ReferenceWriter,
        conditions: Conditions,
        guidance_scale: float,
        weights: WindowWeights = "flat",
        controls: Mapping[str, HintReader] | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.conditions = conditions
        self.guidance_scale = guidance_scale
        self.weights: WindowWeights = weights
        self.reader = ClipReader(denoiser, reference_network, conditions, controls or {})

    def predict(
        self,
        latents: Tensor,
        timestep: Tensor,
        windows: list[list[int]],
        on_window: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Guided prediction.

        Args:
            latents: noisy latents ``(1, channels, frames, h, w)``, any float type.
            timestep: ``(1,)``.
            windows: frames of every window; of a frame that one repeats, the last prediction counts.
            on_window: called before every window with its number; raise in it to cancel.

        Returns:
            Shape and type of ``latents``.
        """
        reference = self.reader.reference(timestep)
        total = torch.zeros_like(latents)
        visits = torch.zeros(latents.shape[2], dtype=latents.dtype, device=latents.device)
        for number, indices in enumerate(windows):
            if on_window is not None:
                on_window(number)
            prediction = self._guided(latents, timestep, indices, reference)
            places = {index: place for place, index in enumerate(indices)}
            frames, kept = list(places), list(places.values())
            weights = torch.tensor(window_weights(len(indices), self.weights)).to(visits)[kept]
            total[:, :, frames] += prediction[:, :, kept] * weights[:, None, None]
            visits[frames] += weights
        return total / visits[:, None, None]

    def _guided(
        self,
        latents: Tensor,
        timestep: Tensor,
        indices: list[int],
        reference: Mapping[str, KeyValues] | None,
    ) -> Tensor:
        """Prediction for the frames of one window, ``(1, channels, len(indices), h, w)``."""
        guided = self.guidance_scale != 1
        static = self.conditions.static_channels(indices, guided)
        noisy = latents[:, :, indices].to(static.dtype).expand(len(static), -1, -1, -1, -1)
        rows = self.denoiser.denoise(
            torch.cat([noisy, static], dim=1),
            timestep,
            self.reader.context,
            reference,
            rows=2 if guided else 1,
            conditional_rows=1,
            control=self.reader.control(noisy[-1].transpose(0, 1), timestep, indices),
            reference_weight=self.conditions.reference_strength,
            **self.reader.sound(indices),
        ).to(latents.dtype)
        if not guided:
            return rows
        unconditional, conditional = rows.chunk(2)
        return torch.lerp(unconditional, conditional, self.guidance_scale)
